"""Campaign marts and audiences on the demo, against plain Python, and with nothing but an orders file."""

import csv
import re
from collections import defaultdict
from datetime import date
from decimal import Decimal

import pytest

import oracle
from support import DEMO, NO_UNIT_TESTS, PROJECT, Warehouse, dbt

AS_OF = date.fromisoformat(DEMO["as_of_date"])
MODELS = ["+path:models/marts/campaigns", "+path:models/marts/audiences", "+lifecycle_metrics"]
PLACEHOLDER = re.compile(r"\{(\w+)\|([^{}|]+)\}")


def seed(name):
    with (PROJECT / "seeds" / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def marts(demo_warehouse):
    return Warehouse(demo_warehouse)


@pytest.fixture(scope="module")
def orders_only(tmp_path_factory):
    folder = tmp_path_factory.mktemp("orders_only")
    rows = "rich,2026-06-30,1000\nnew,2026-06-30,299.99\nold,2025-06-30,5000\nback,2025-07-01,5000\n"
    (folder / "orders.csv").write_text("customer_id,ordered_at,amount\n" + rows)
    path = folder / "lifecycle.duckdb"
    dbt(
        *("build", *NO_UNIT_TESTS, "--indirect-selection", "cautious", "--select", *MODELS),
        raw=folder, warehouse=path, variables={"as_of_date": str(AS_OF), "sources": ["orders_file"]},
    )
    return Warehouse(path)


def test_affinities_equal_the_oracle(marts):
    """From the staged lines, not from int_order_lines."""
    baskets = defaultdict(set)
    for order, product in marts.rows(
        "select items.order_id, 'shop:' || items.product_id from staging.stg_shop__order_items as items "
        "inner join marts.orders on items.order_id = orders.order_id where items.product_id is not null"
    ):
        baskets[order].add(product)
    expected = oracle.affinities(baskets.values(), 5, 0.001, 100)
    rows = marts.dicts("select * from marts.product_affinities")
    assert len(rows) == len(expected) > 1000
    for row in rows:
        both, *shares = expected[row["product_key"], row["next_product_key"]]
        assert row["both_baskets"] == both
        assert [row["support"], row["confidence"], row["lift"]] == pytest.approx(shares)


def test_next_products_equal_the_oracle(marts):
    """Every rule is tried here; the model's limit of 20 per product must not be felt."""
    bought = defaultdict(set)
    for person, product in marts.rows("select person_id, product_key from intermediate.int_order_lines"):
        bought[person].add(product)
    erased = {row[0] for row in marts.rows("select person_id from intermediate.int_erased_people")}
    rules = defaultdict(list)
    for row in marts.dicts("select * from marts.product_affinities where lift > 1"):
        rules[row["product_key"]].append((-row["confidence"], -row["lift"], row["next_product_key"]))
    expected = {}
    for person, products in bought.items():
        candidates = [rule for one in products for rule in rules[one] if rule[2] not in products]
        if person and person not in erased and candidates:
            expected[person] = min(candidates)[2]
    assert dict(marts.rows("select person_id, next_product_key from intermediate.int_next_products")) == expected


def test_loyalty_tiers_equal_the_oracle(marts):
    tiers = [
        (row["tier"], row["basis"], int(row["window_days"]), Decimal(row["threshold"])) for row in seed("loyalty_tiers")
    ]
    orders = defaultdict(list)
    for person, day, net in marts.rows("select person_id, order_date, net_amount from marts.orders"):
        orders[person].append((day, net))
    rows = marts.rows(
        "select person_id, tier, tier_until, missing_to_keep, next_tier, missing_to_next from intermediate.int_loyalty_tiers"
    )
    assert len(rows) == marts.row("select count(*) from marts.customers where stage != 'erased'")[0]
    assert {row[1] for row in rows} == {"none", *(tier[0] for tier in tiers)}
    for person, *found in rows:
        assert tuple(found) == oracle.loyalty_tier(orders[person], tiers, AS_OF, 90), person


def members_of(audience):
    return f"(select person_id from marts.audience_members where audience = '{audience}')"


def test_audiences_hold_people_and_nobody_their_rule_forbids(marts):
    forbidden = {
        "referral_invitation": "stage != 'loyal' and not is_advocate",
        "loyalty_rewards": "loyalty_tier = 'none'",
        "cross_sell": "next_product_key is null or stage not in ('one_time', 'repeat', 'loyal')",
        "replacement_due": "replacement_due_on is null or replacement_due_on > date '2026-06-30' + 14 "
        "or replacement_due_on < date '2026-06-30' - 60",
        "multi_location": "(select count(*) from marts.customer_locations as places "
        "where places.person_id = members.person_id and kind != 'searched') < 2",
    }
    for audience, rule in forbidden.items():
        people, distinct, wrong = marts.row(
            f"select count(*), count(distinct members.person_id), count_if(stage = 'erased' or {rule}) "
            f"from {members_of(audience)} as members left join marts.customers using (person_id) "
            f"left join marts.customer_campaign_facts using (person_id)"
        )
        assert people == distinct > 20, audience
        assert wrong == 0, audience


def test_the_demo_shows_every_play_signal_and_gap(marts):
    assert set(marts.rows("select distinct signal from intermediate.int_campaign_signals")) == {
        (row["signal"],) for row in seed("playbook")
    }
    actions = dict(marts.rows("select next_best_action, count(*) from marts.customer_campaign_facts group by 1"))
    assert len(actions) > 15 and "none" in actions
    assert dict(marts.rows("select activity, is_silent from marts.touchpoint_gaps where is_silent")) == {
        "replenishment_reminder": True
    }
    assert {row[0] for row in marts.rows("select status from marts.touchpoint_gaps")} == {
        "live",
        "silent",
        "not measured",
        "not running",
    }
    days = marts.row("select max(k_factor), max(referred_share), count(nps), count(csat) from marts.lifecycle_metrics")
    assert all(days)


def test_placeholders_of_the_playbook_can_be_filled(marts):
    known = {row[0] for row in marts.rows("describe marts.customers")} | {
        row[0] for row in marts.rows("describe marts.customer_campaign_facts")
    }
    for row in seed("playbook"):
        rest = PLACEHOLDER.sub("", row["message_idea"])
        assert "{" not in rest and "}" not in rest, row["play"]
        assert {name for name, _ in PLACEHOLDER.findall(row["message_idea"])} <= known, row["play"]


def test_orders_alone_give_tiers_and_values_and_empty_tables(orders_only):
    facts = orders_only.dicts(
        "select * from marts.customer_campaign_facts inner join marts.customers using (person_id)"
    )
    assert {row["primary_customer_id"]: (row["loyalty_tier"], row["simple_clv"]) for row in facts} == {
        "rich": ("gold", 3000),
        "new": ("bronze", Decimal("899.97")),
        "old": ("none", 0),
        "back": ("gold", 15000),
    }
    for row in facts:
        assert row["next_product_key"] is row["replacement_due_on"] is None
        assert (row["contact_pressure"], row["is_advocate"], row["why"]) == (0, False, "no channel may be used")
    for table in (
        "marts.product_affinities",
        "intermediate.int_replacements",
        "intermediate.int_referrals",
        members_of("cross_sell"),
        members_of("replacement_due"),
        members_of("multi_location"),
    ):
        assert orders_only.row(f"select count(*) from {table}") == (0,), table
    assert {row[0] for row in orders_only.rows("select status from marts.touchpoint_gaps")} == {"not running"}
    assert orders_only.row("select max(invites), max(k_factor), max(nps) from marts.lifecycle_metrics")[0] == 0
