"""Random shops, built, and read once more from their raw files by code that shares nothing with the models."""

import hmac
import os
import random
import re

import duckdb
import pytest

import oracle
import random_shop
import shop_answers
import shop_oracle
from habit_answers import Habits
from keyed_hash import read_key
from support import NO_UNIT_TESTS, PROJECT, Warehouse, checksums, dbt

AT_RISK, LAPSED = 45, 120
LONG = os.environ.get("TEST_LONG")
SEEDS = range(1, 21 if LONG else 4)
PART = (
    "--indirect-selection", "empty", "--select", "nobody_who_said_no_can_be_contacted", "+customer_campaign_facts", "+cohort_value",
    "+rfm_history", "+stage_transitions", "+lifecycle_metrics", "+cohort_retention", "+cohort_retention_30d", "+growth_accounting",
    "+campaign_results", "+customer_locations", "+touchpoint_gaps", "+suppression_list", "+order_lines", "+campaign_engagement",
    "+consent_changes", "+comebacks", "+customer_habits", "+habit_metrics", "+active_day_histogram", "+onboarding_cohorts",
)  # fmt: skip
# in the long run everything, with all data tests
MODELS = () if LONG else PART


class Built:
    """A random shop with its warehouse and its oracle."""

    def __init__(self, seed, folder):
        self.folder, self.shop = folder, random_shop.RandomShop(seed)
        shop = self.shop
        self.oracle = shop_oracle.Shop(shop.tables, PROJECT, random_shop.AS_OF, "Europe/Berlin", at_risk=AT_RISK, lapsed=LAPSED)
        record_ids = sorted(shop_oracle.md5(record["stable"]) for record in self.oracle.records.values())
        self.events = shop.state([*record_ids, "forgotten"])
        self.write_state(folder / "state")
        self.path = self.build("first")
        self.marts = Warehouse(self.path)

    def build(self, name, models=MODELS, dice=None):
        """A warehouse of the shop, with its rows in an order of their own; with dice in parts and partly twice, too."""
        raw, path = self.folder / f"{name}_raw", self.folder / name / "lifecycle.duckdb"
        path.parent.mkdir()
        self.shop.write(raw, dice)
        dbt("build", *NO_UNIT_TESTS, *models, raw=raw, warehouse=path, LIFECYCLE_STATE=str(self.folder / "state"), variables={
            "as_of_date": str(random_shop.AS_OF), "business_time_zone": "Europe/Berlin", "cohort_dimension": "first_category",
            "at_risk_after_days": AT_RISK, "lapsed_after_days": LAPSED})  # fmt: skip
        return path

    def write_state(self, folder):
        (folder / "audience_events").mkdir(parents=True)
        names = ("as_of_date", "audience", "event", "person_id", "entered_on", "is_holdout", "holdout_share")
        with duckdb.connect() as con:
            con.execute("create table events (as_of_date date, audience varchar, event varchar, person_id varchar, "
                        "entered_on date, is_holdout boolean, holdout_share double)")  # fmt: skip
            con.executemany("insert into events values (?, ?, ?, ?, ?, ?, ?)",
                            [[event.get(name) for name in names] for event in self.events])  # fmt: skip
            con.execute(f"copy events to '{folder}/audience_events/2024-09-10.parquet'")

    def compare(self, query, expected, keys=1):
        """Every row by its first columns, every cell; floats to twelve digits."""
        rows = self.marts.rows(query)
        found = {(row[0] if keys == 1 else row[:keys]): tuple(row[keys:]) for row in rows}
        assert len(found) == len(rows), "a key comes twice"
        expected = {key: tuple(map(exact, cells)) for key, cells in expected.items()}
        wrong = {
            key: (found.get(key), expected.get(key)) for key in found.keys() | expected.keys()
            if found.get(key) != expected.get(key)
        }  # fmt: skip
        assert not wrong, f"{len(wrong)} of {len(found)} rows differ, such as {next(iter(wrong.items()))}"
        assert found, "nothing was compared"


def exact(cell):
    return pytest.approx(cell, rel=1e-12, abs=1e-15) if isinstance(cell, float) else cell


@pytest.fixture(scope="module", params=SEEDS)
def built(request, tmp_path_factory):
    return Built(request.param, tmp_path_factory.mktemp("shop"))


def test_orders(built):
    columns = "person_id, ordered_at, order_date, order_number, days_since_previous_order, gross_amount, discount_amount, refunded_amount, net_amount"
    built.compare(
        f"select order_id, {columns} from marts.orders",
        {order["order_id"]: [order[name] for name in columns.split(", ")] for order in built.oracle.orders},
    )


def test_people(built):
    """Who they are, what they bought, when they were seen and in which stage they are."""
    shop, rows = built.oracle, {}
    shown = ("primary_customer_id", "app_user_id", "email", "phone_e164", *shop_oracle.PROFILE)
    for person, first_seen in shop.first_seen.items():
        basket, days = shop.baskets[person], shop.activity(person)
        profile = dict.fromkeys(shown) if person in shop.erased else shop.profiles[person]
        net = sum((order["net_amount"] for order in basket), shop_oracle.Decimal(0))
        rows[person] = [
            *(profile[name] for name in shown), first_seen, len(basket),
            basket[0]["order_date"] if basket else None, basket[-1]["order_date"] if basket else None,
            sum((order["gross_amount"] for order in basket), shop_oracle.Decimal(0)), net,
            oracle.ten_thousandths(shop_oracle.Fraction(net) / len(basket)) if basket else None,
            max(days, default=None), any(day > shop.as_of - shop_oracle.timedelta(30) for day in days), shop.stage(person),
            *shop.rfm(shop.as_of).get(person, [None] * 6)[3:],
        ]  # fmt: skip
    built.compare(
        f"select person_id, {', '.join(shown)}, first_seen_at, orders_count, first_order_date, last_order_date, gross_revenue, "
        "net_revenue, average_order_value, last_activity_date, is_active_30d, stage, r_score, f_score, m_score from marts.customers",
        rows,
    )


def test_the_history_of_stages(built):
    shop = built.oracle
    built.compare(
        "select person_id, entered_at, stage, exited_at, cycle_number from marts.customer_stage_history", shop.stage_history(), keys=2
    )
    built.compare("select month, from_stage, to_stage, people from marts.stage_transitions where people > 0", shop.transitions(), keys=3)


def test_rates_of_every_day(built):
    built.compare(
        "select metric_date, users, customers, repeat_customers, loyal_customers, active_users, passive_users, user_activation_rate, "
        "repeat_customer_rate, loyal_customer_rate from marts.lifecycle_metrics", built.oracle.daily_metrics(),
    )  # fmt: skip


def test_cohorts_and_growth(built):
    gross, net, as_of = built.oracle.sales("gross_amount"), built.oracle.sales("net_amount"), built.oracle.as_of
    kept = oracle.cohort_months(net, as_of)
    months = {key: (*row, kept[key][3], row[1] / row[0]) for key, row in oracle.cohort_months(gross, as_of).items()}
    built.compare("select cohort_month, period_index, cohort_size, active_customers, orders, gross_revenue, net_revenue, retention "
                  "from marts.cohort_retention", months, keys=2)  # fmt: skip
    windows = {key: (*row, row[3] / row[2] if row[2] else None) for key, row in oracle.cohort_windows(gross, as_of).items()}
    built.compare("select cohort_month, window_index, cohort_size, active_customers, mature_customers, active_mature, retention "
                  "from marts.cohort_retention_30d", windows, keys=2)  # fmt: skip
    built.compare("select month, active, new, retained, resurrected, churned, revenue, revenue_new, revenue_resurrected, revenue_expansion, "
                  "revenue_contraction, revenue_churned from marts.growth_accounting", oracle.growth(gross, as_of))  # fmt: skip


def test_erased(built):
    """From the erasure's own time, or from when they were first seen."""
    shop = built.oracle
    rows = {
        person: [max(at, shop.first_seen[person])]
        for person, at in shop.erased.items() if at < shop.end and person in shop.first_seen
    }  # fmt: skip
    built.compare("select person_id, entered_at from marts.customer_stage_history where stage = 'erased'", rows)


def test_reach(built):
    shop = built.oracle
    rows = {(person, channel): shop.reach(person, channel) for person in shop.first_seen for channel in shop_oracle.CHANNELS}
    assert {row[3] for row in rows.values()} == {None, *shop_oracle.SEVERITY, "no_consent", "no_address"}
    built.compare(
        "select person_id, channel, can_contact, consent_status, consented_at, blocked_reason, own_no_reason, "
        "decided_by, decided_at from marts.customer_channels",
        rows, keys=2,
    )  # fmt: skip


def test_suppression_list(built):
    key = read_key(built.folder / "state")
    built.compare(
        "select channel, address_type, coalesce(address, address_hash), reason, suppressed_at from marts.suppression_list",
        built.oracle.listed(lambda address: hmac.new(key, shop_oracle.sha256(address).encode(), "sha256").hexdigest()), keys=3,
    )  # fmt: skip


def test_contact_guard_finds_everybody_who_said_no(built, tmp_path):
    """With everybody contactable, the data test finds exactly those to whom a no stands."""
    shop, expected = built.oracle, set()
    for person in shop.first_seen:
        for channel in shop_oracle.CHANNELS:
            said = {
                no for address in shop.addresses[person] if len(shop.owners[address]) == 1
                for no in shop.noes_to(address, channel)
            }  # fmt: skip
            if said - {shop_oracle.SEVERITY.index("hard_bounce")}:
                expected.add((person, channel))
    (compiled,) = built.path.with_suffix(".target").glob("compiled/*/tests/dbt/nobody_who_said_no_can_be_contacted.sql")
    query = compiled.read_text().replace('"lifecycle".', "")
    with duckdb.connect() as con:
        con.execute(f"attach '{built.path}' as lifecycle (read_only)")
        con.execute("use lifecycle")
        assert con.execute(query).fetchall() == []
        con.execute("create temp table forced as from marts.customer_channels select * replace (true as can_contact)")
        forced = re.sub(r'"marts"\."customer_channels"', "temp.forced", query)
        assert forced != query
        assert set(con.execute(forced).fetchall()) == expected


def test_campaign_facts(built):
    shop, rows = built.oracle, {}
    tiers = [(row["tier"], row["basis"], int(row["window_days"]), shop_oracle.Decimal(row["threshold"]))
             for row in shop_oracle.seed(PROJECT, "loyalty_tiers")]  # fmt: skip
    for person in shop.first_seen:
        spent = [(order["order_date"], order["net_amount"]) for order in shop.baskets[person]]
        tier = ["none", *[None] * 4] if person in shop.erased else oracle.loyalty_tier(spent, tiers, shop.as_of, 90)
        is_erased = shop.stage(person) == "erased"
        messages = 0 if is_erased else len(shop.messages_of_late(person, 30))
        rows[person] = [sum((net for _, net in spent), shop_oracle.Decimal(0)), *shop.values(person), *tier, messages, messages >= 4]
    built.compare(
        "select person_id, historic_value, orders_a_year, simple_clv, loyalty_tier, loyalty_tier_until, missing_to_keep_tier, "
        "next_loyalty_tier, missing_to_next_tier, contact_pressure, is_fatigued from marts.customer_campaign_facts",
        rows,
    )


def test_first_categories(built):
    shop = built.oracle
    rows = {person: [shop.first_category(person)] for person in shop.baskets if shop.baskets[person] and shop.first_category(person)}
    built.compare("select person_id, category from intermediate.int_first_categories", rows)


@pytest.mark.parametrize("kind", ["month", "first_category", "month and first_category"])
def test_cohort_values(built, kind):
    built.compare(
        "select cohort, age_days, customers, eligible_customers, gross_revenue, net_revenue, gross_revenue_per_customer, "
        f"net_revenue_per_customer from marts.cohort_value where cohort_type = '{kind}'",
        built.oracle.cohort_values(kind), keys=2,
    )  # fmt: skip


def test_the_history_of_rfm_is_what_each_month_end_would_have_said(built):
    shop, rows = built.oracle, {}
    first = min(order["order_date"] for order in shop.orders if order["person_id"])
    for month, end in oracle.month_ends(first, shop.as_of).items():
        rows |= {(person, month): facts for person, facts in shop.rfm(end).items()}
    built.compare("select person_id, month, recency_days, frequency, monetary, r_score, f_score, m_score from marts.rfm_history", rows, keys=2)


def test_campaign_results(built):
    campaign_of = {}
    for path in (PROJECT / "models" / "marts" / "audiences").glob("*.sql"):
        said = re.search(r"'campaign': (none|'(.*?)')", path.read_text())
        if said:
            campaign_of[path.stem] = said[2]
    expected = built.oracle.campaign_results(built.events, campaign_of)
    columns = list(next(iter(expected.values())))
    known = {row[0] for row in built.marts.rows("describe marts.campaign_results")}
    assert known - set(columns) == {"audience", "goal_window_days"}
    built.compare(f"select audience, {', '.join(columns)} from marts.campaign_results",
                  {audience: [row[name] for name in columns] for audience, row in expected.items()})  # fmt: skip
    assert any(row["revenue_difference_low"] is not None for row in expected.values())


def test_locations(built):
    built.compare("select person_id, city, kind, is_added, is_searched, first_seen_at, last_seen_at, added_at from marts.customer_locations",
                  built.oracle.locations(), keys=2)  # fmt: skip


def test_touchpoints(built):
    sent = built.oracle.touchpoints()
    listed = built.marts.rows("select channel, activity, is_live, last_sent_on, coalesce(people_reached, 0) from marts.touchpoint_gaps")
    for channel, activity, *cells in listed:
        assert tuple(cells) == sent.get((channel, activity), (False, None, 0)), (channel, activity)
    assert {key for key, (is_live, *_) in sent.items() if is_live} >= {row[:2] for row in listed if row[2]}


def test_order_lines(built):
    lines = shop_answers.order_lines(built.oracle)
    amounts = ", ".join(f"lines.{name}" for name in shop_answers.AMOUNTS)
    built.compare(
        f"select orders.order_id, replace(product_key, 'shop:', ''), quantity, {amounts} "
        "from marts.order_lines as lines inner join marts.orders using (order_key)",
        {key: [line["units"], *(line[name] for name in shop_answers.AMOUNTS)] for key, line in lines.items()}, keys=2,
    )  # fmt: skip


def test_campaign_engagement(built):
    columns = f"{', '.join(shop_answers.OUTCOMES)}, click_orders, click_revenue, delivery_orders, delivery_revenue"
    expected = shop_answers.campaign_engagement(built.oracle, lambda day: day.replace(day=1))
    built.compare(f"select campaign_id, month, {columns} from marts.campaign_engagement where sent > 0", expected, keys=2)
    assert any(row[9] for row in expected.values())


def test_consent_changes(built):
    built.compare(
        f"select month, channel, source, {', '.join(shop_answers.FLOWS)}, net_growth, contactable_addresses from marts.consent_changes",
        shop_answers.consent_changes(built.oracle), keys=3,
    )  # fmt: skip


def test_comebacks(built):
    built.compare(
        "select orders.order_id, comebacks.person_id, from_stage, days_away, comebacks.net_amount, "
        "replace(campaign_key, 'esp:', ''), days_since_message, is_clicked "
        "from marts.comebacks inner join marts.orders using (order_key)", shop_answers.comebacks(built.oracle),
    )  # fmt: skip


def test_habits(built):
    habits = Habits(built.oracle)
    built.compare("select * from marts.customer_habits", habits.customer_habits())
    built.compare("select * from marts.habit_metrics", habits.habit_metrics())
    cells = "month, active_days, month_label, month_end, people, is_complete"
    built.compare(f"select {cells} from marts.active_day_histogram", habits.histogram(), keys=2)
    cells = "cohort_month, kind, name, cohort, position, people, mature_people, done_in_7d, share, is_complete"
    built.compare(f"select {cells} from marts.onboarding_cohorts", habits.onboarding_cohorts(), keys=3)


def test_shuffled_doubled_and_split_rows_give_the_same_marts_to_the_last_digit(built):
    again, first = checksums(built.build("again", PART, random.Random(built.shop.seed))), checksums(built.path)
    assert len(again) > 20
    counting = {"source_tables", "rejected_reasons"}  # of rows as they lie there
    assert {mart: found for mart, found in again.items() if mart not in counting} == {mart: first[mart] for mart in again.keys() - counting}
