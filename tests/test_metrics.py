"""Metrics by name: what `mf query` answers is what the marts say, for every metric, in total, by month and by a dimension.

The expected numbers are added up in plain Python from the rows of the marts, or are the marts' own columns.
"""

import csv
import importlib.util
import json
import math
import os
import subprocess
import sys
from collections import defaultdict
from decimal import Decimal

import pytest

from support import DEMO, PROJECT, Warehouse, dbt

if importlib.util.find_spec("dbt_metricflow") is None:
    pytest.skip("MetricFlow is not installed: make .venv/metrics", allow_module_level=True)

# mid-month, so that the last month is running
AS_OF = "2026-06-17"

STOCKS = [
    "users",
    "customers",
    "repeat_customers",
    "loyal_customers",
    "active_users",
    "passive_users",
    "referred_users",
]
RATES = ["user_activation_rate", "repeat_customer_rate", "loyal_customer_rate", "active_share", "referred_share"]
FLOWS = ["new", "retained", "resurrected", "churned"]
# starting MetricFlow takes longer than its queries: one process asks them all, by the command's own arguments
ASK = """
import json, sys
from dbt_metricflow.cli.cli_configuration import CLIConfiguration
from dbt_metricflow.cli.main import query
shared = CLIConfiguration()
for arguments in json.loads(sys.argv[1]):
    query.main(arguments, obj=shared, standalone_mode=False)
"""


@pytest.fixture(scope="module")
def built(demo_raw, tmp_path_factory):
    """What the metrics rest on, built from the demo without tests, and the folder that `mf` takes for the project."""
    folder = tmp_path_factory.mktemp("metrics")
    warehouse = folder / "lifecycle.duckdb"
    no_tests = ["--exclude-resource-type", "unit_test", "--exclude-resource-type", "test"]
    select = ["--select", "+semantic_model:*", "+metric_health", "+stage_summary"]
    dbt("build", *select, *no_tests, raw=demo_raw, warehouse=warehouse, variables=DEMO | {"as_of_date": AS_OF})
    project = folder / "project"
    project.mkdir()
    (project / "dbt_project.yml").symlink_to(PROJECT / "dbt_project.yml")
    (project / "profiles.yml").symlink_to(PROJECT / "scripts/metrics/profiles.yml")
    (project / "target").symlink_to(warehouse.with_suffix(".target"))
    return project, warehouse


@pytest.fixture(scope="module")
def metrics(built):
    """The names of all metrics."""
    project, _ = built
    return {metric["name"] for metric in json.loads((project / "target/semantic_manifest.json").read_text())["metrics"]}


@pytest.fixture(scope="module")
def marts(built):
    """The built marts; open while MetricFlow asks, as a BI tool may have them."""
    warehouse = Warehouse(built[1])
    yield warehouse
    warehouse.connection.close()


@pytest.fixture(scope="module")
def answers(built, marts, metrics):
    """What MetricFlow answers: per question the rows, by what they are grouped by."""
    project, warehouse = built
    everything = sorted(metrics)
    timed = sorted(metrics - {"stage_people"})
    people = [name for name in everything if name.startswith("current_")]
    people += ["value_to_date", "expected_value", "historic_customer_value", "customer_lifetime_value"]
    people += ["orders", "gross_revenue", "net_revenue", "average_order_value", "ordering_customers"]
    questions = {
        "total": (everything, []),
        "month": (timed, ["metric_time__month"]),
        "day": (STOCKS + RATES, ["metric_time__day"]),
        "complete": (["retained_customers"], ["metric_time__month", "calendar_month__is_complete"]),
        "stage through time": (["stage_people"], ["metric_time__month", "stage_month__to_stage"]),
        "cohort": (["cohort_retention"], ["cohort_cell__cohort", "cohort_cell__period_index"]),
        "window": (["cohort_retention_30d"], ["cohort_window__cohort", "cohort_window__window_index"]),
        "order channel": (["orders", "net_revenue"], ["order__order_channel", "order__order_type"]),
        "stage": (people, ["person__stage"]),
        "country": (people, ["person__country"]),
        "channel": (people, ["person__acquisition_channel"]),
        "category": (["units_sold", "product_net_revenue"], ["order_line__category"]),
        "campaign": (["messages_sent", "open_rate", "revenue_per_recipient"], ["campaign_month__campaign_type"]),
        "list": (["opt_ins", "contactable_addresses"], ["list_month__channel"]),
        "returns": (["comebacks"], ["comeback__from_stage"]),
        "onboarding": (["newcomers_followed", "newcomers_done", "done_in_first_days"], ["onboarding_cell__name"]),
        "platform": (["people_with_rhythm", "slipping_people", "slipping_share"], ["person__platform"]),
        "subscriptions": (["churned_mrr", "trial_conversion_rate"], ["subscription_month__is_complete"]),
        "first order": (people, ["person__first_order_date__month"]),
    }
    arguments = []
    for name, (asked, by) in questions.items():
        grouped = ["--group-by", ",".join(by)] if by else []
        arguments.append(["--metrics", ",".join(asked), *grouped, "--csv", str(project / f"{name}.csv")])
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(arguments)],
        cwd=project,
        env=os.environ
        | {
            "LIFECYCLE_WAREHOUSE": str(warehouse),
            "LIFECYCLE_PUBLISHED": str(warehouse),
            "DBT_TARGET_PATH": str(project / "target"),
            "DBT_LOG_PATH": str(project / "logs"),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    read = {}
    for name, (_, by) in questions.items():
        with (project / f"{name}.csv").open(newline="") as file:
            rows = [{key: value or None for key, value in row.items()} for row in csv.DictReader(file)]
        read[name] = {tuple(row.pop(key) for key in by): row for row in rows}
        assert len(read[name]) == len(rows), "one row per group"
    return read


def ratio(numerator, denominator):
    return float(numerator) / float(denominator) if denominator else None


def month_of(day):
    return f"{day:%Y-%m}-01 00:00:00"


def grouped(rows, key):
    groups = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def same(answered, expected):
    """Whether a text of MetricFlow's is the expected value: money and counts exactly, ratios but for their last digits."""
    if answered is None or expected is None:
        return answered is None and expected is None
    if isinstance(expected, float):
        return math.isclose(float(answered), expected, rel_tol=1e-12)
    return Decimal(answered) == expected


def check(answered, expected):
    """Fail with what differs; groups that the expectation lacks must have no value at all."""
    wrong = [
        (group, metric, row[metric], expected.get(group, {}).get(metric))
        for group, row in answered.items()
        for metric in row
        if not same(row[metric], expected.get(group, {}).get(metric))
    ]
    assert not wrong, wrong[:10]
    assert set(expected) <= set(answered)


def expected_stocks(row):
    """Of a day of lifecycle_metrics: its own columns, but for the share that is in metric_health only."""
    return {name: row[name] for name in STOCKS + RATES if name != "active_share"} | {
        "active_share": ratio(row["active_users"], row["users"])
    }


def expected_flows(rows):
    """Of months of growth_accounting."""
    if not rows:
        return {}
    new, retained, resurrected, churned = (sum(row[name] for row in rows) for name in FLOWS)
    return {
        "new_customers": new,
        "retained_customers": retained,
        "resurrected_customers": resurrected,
        "churned_customers": churned,
        "customers_won": new + resurrected,
        "customers_to_keep": retained + churned,
        "retention_rate": ratio(retained, retained + churned),
        "churn_rate": ratio(churned, retained + churned),
        "quick_ratio": ratio(new + resurrected, churned),
    }


def expected_orders(rows):
    """Of rows of the mart orders."""
    if not rows:
        return {}
    net = sum(row["net_amount"] for row in rows)
    known = [row["person_id"] for row in rows if row["person_id"] is not None]
    return {
        "orders": len(rows),
        "gross_revenue": sum(row["gross_amount"] for row in rows),
        "discounts": sum(row["discount_amount"] for row in rows),
        "refunds": sum(row["refunded_amount"] for row in rows),
        "net_revenue": net,
        "average_order_value": ratio(net, len(rows)),
        "ordering_customers": len(set(known)),
        "orders_per_customer": ratio(len(known), len(set(known))),
    }


def expected_people(rows):
    """Of rows of customers, joined with customer_campaign_facts."""
    if not rows:
        return {}
    customers, repeat, loyal, active = (
        sum(row[name] for row in rows)
        for name in ("is_customer", "is_repeat_customer", "is_loyal_customer", "is_active_30d")
    )
    to_date, expected = (sum(row[name] for row in rows) for name in ("net_revenue", "simple_clv"))
    return {
        "current_users": len(rows),
        "current_customers": customers,
        "current_repeat_customers": repeat,
        "current_loyal_customers": loyal,
        "current_active_users": active,
        "current_user_activation_rate": ratio(customers, len(rows)),
        "current_repeat_customer_rate": ratio(repeat, customers),
        "current_loyal_customer_rate": ratio(loyal, repeat),
        "current_active_share": ratio(active, len(rows)),
        "value_to_date": to_date,
        "expected_value": expected,
        "historic_customer_value": ratio(to_date, customers),
        "customer_lifetime_value": ratio(expected, customers),
    }


def expected_cohorts(rows):
    """Of cells of cohort_retention."""
    if not rows:
        return {}
    members, active = (sum(row[name] for row in rows) for name in ("cohort_size", "active_customers"))
    return {"cohort_members": members, "cohort_active_members": active, "cohort_retention": ratio(active, members)}


def expected_windows(rows):
    """Of cells of cohort_retention_30d."""
    if not rows:
        return {}
    mature, active = (sum(row[name] for row in rows) for name in ("mature_customers", "active_mature"))
    return {"mature_members": mature, "active_mature_members": active, "cohort_retention_30d": ratio(active, mature)}


def expected_lines(rows):
    """Of rows of order_lines."""
    if not rows:
        return {}
    margins = [row["margin_amount"] for row in rows if row["margin_amount"] is not None]
    return {
        "units_sold": sum(row["quantity"] for row in rows),
        "product_net_revenue": sum(row["net_amount"] for row in rows),
        "product_margin": sum(margins) if margins else None,
    }


def expected_campaigns(rows):
    """Of rows of campaign_engagement."""
    if not rows:
        return {}
    names = ("sent", "delivered", "opened", "clicked", "unsubscribed", "click_orders", "click_revenue")
    sent, delivered, opened, clicked, unsubscribed, orders, revenue = (sum(row[name] for row in rows) for name in names)
    return {
        "messages_sent": sent,
        "messages_delivered": delivered,
        "messages_opened": opened,
        "messages_clicked": clicked,
        "unsubscriptions": unsubscribed,
        "click_orders": orders,
        "click_revenue": revenue,
        "open_rate": ratio(opened, delivered),
        "click_rate": ratio(clicked, delivered),
        "unsubscribe_rate": ratio(unsubscribed, delivered),
        "revenue_per_recipient": ratio(revenue, delivered),
    }


def expected_lists(rows):
    """Of rows of consent_changes; the stock is that of the last month."""
    if not rows:
        return {}
    last_month = max(row["month"] for row in rows)
    return {
        "opt_ins": sum(row["opt_ins"] for row in rows),
        "list_growth": sum(row["net_growth"] for row in rows),
        "contactable_addresses": sum(row["contactable_addresses"] for row in rows if row["month"] == last_month),
    }


def expected_comebacks(rows):
    """Of rows of comebacks."""
    return {"comebacks": len(rows)} if rows else {}


def expected_app_use(row):
    """Of a day of habit_metrics: its own columns."""
    return {name: row[name] for name in ("dau", "wau", "mau", "stickiness")} if row else {}


def expected_onboarding(rows):
    """Of rows of onboarding_cohorts."""
    if not rows:
        return {}
    followed, done = (sum(row[name] for row in rows) for name in ("mature_people", "done_in_7d"))
    whole = [row for row in rows if row["kind"] == "onboarding_completed"]
    return {
        "newcomers_followed": followed,
        "newcomers_done": done,
        "done_in_first_days": ratio(done, followed),
        "onboarding_completion": ratio(*(sum(row[name] for row in whole) for name in ("done_in_7d", "mature_people"))),
    }


def expected_habits(rows):
    """Of rows of customer_habits."""
    if not rows:
        return {}
    known = sum(row["median_days_between"] is not None for row in rows)
    slipping = sum(row["is_slipping"] for row in rows)
    return {"people_with_rhythm": known, "slipping_people": slipping, "slipping_share": ratio(slipping, known)}


def expected_subscriptions(rows):
    """Of rows of subscription_movements; stocks are those of the last month."""
    if not rows:
        return {}
    last = max(rows, key=lambda row: row["month"])
    flows = ("new_mrr", "expansion_mrr", "contraction_mrr", "churned_mrr", "reactivated_mrr")
    trials = ("trials_started", "trials_ended", "trials_converted")
    sums = {name: sum(row[name] for row in rows) for name in (*flows, *trials)}
    return sums | {
        "mrr": last["closing_mrr"],
        "subscribers": last["subscribers"],
        "trial_conversion_rate": ratio(sums["trials_converted"], sums["trials_ended"]),
    }


@pytest.fixture(scope="module")
def rows(marts):
    """The rows of the marts that metrics are taken from."""
    read = {
        mart: marts.dicts(f"select * from marts.{mart}")
        for mart in (
            "growth_accounting", "orders", "cohort_retention", "cohort_retention_30d", "stage_transitions",
            "order_lines", "campaign_engagement", "consent_changes", "comebacks", "onboarding_cohorts", "customer_habits",
            "subscription_movements",
        )
    }  # fmt: skip
    read["days"] = marts.dicts("select * from marts.lifecycle_metrics order by metric_date")
    read["app days"] = marts.dicts("select * from marts.habit_metrics order by metric_date")
    read["people"] = marts.dicts(
        "select customers.*, simple_clv from marts.customers join marts.customer_campaign_facts using (person_id)"
    )
    return read


def test_every_metric_in_total(answers, rows, marts, metrics):
    at_as_of = {month_of(row["month"]): row["is_complete"] for row in rows["growth_accounting"]}
    assert not at_as_of[f"{AS_OF[:7]}-01 00:00:00"], "the last month is running"
    last_month = max(row["month"] for row in rows["stage_transitions"])
    expected = (
        expected_stocks(rows["days"][-1])
        | expected_flows(rows["growth_accounting"])
        | expected_orders(rows["orders"])
        | expected_people(rows["people"])
        | expected_cohorts(rows["cohort_retention"])
        | expected_windows(rows["cohort_retention_30d"])
        | expected_lines(rows["order_lines"])
        | expected_campaigns(rows["campaign_engagement"])
        | expected_lists(rows["consent_changes"])
        | expected_comebacks(rows["comebacks"])
        | expected_app_use(rows["app days"][-1])
        | expected_onboarding(rows["onboarding_cohorts"])
        | expected_habits(rows["customer_habits"])
        | expected_subscriptions(rows["subscription_movements"])
        | {"stage_people": sum(row["people"] for row in rows["stage_transitions"] if row["month"] == last_month)}
    )
    assert set(expected) == metrics, "every metric is checked"
    check(answers["total"], {(): expected})
    for metric, value in marts.rows(
        "select metric, value from marts.metric_health where metric like '%rate' or metric like '%share'"
    ):
        assert same(answers["total"][()][metric], value)
    today = {name.removeprefix("current_"): name for name in metrics if name.startswith("current_")}
    assert len(today) == 9
    for name, current in today.items():
        assert answers["total"][()][name] == answers["total"][()][current], "two ways to one number"


def test_every_metric_by_month(answers, rows):
    last_day = {month_of(row["metric_date"]): row for row in rows["days"]}
    parts = [
        (expected_flows, grouped(rows["growth_accounting"], lambda row: month_of(row["month"]))),
        (expected_orders, grouped(rows["orders"], lambda row: month_of(row["order_date"]))),
        (expected_people, grouped(rows["people"], lambda row: month_of(row["first_seen_at"]))),
        (expected_cohorts, grouped(rows["cohort_retention"], lambda row: month_of(row["activity_month"]))),
        (expected_windows, grouped(rows["cohort_retention_30d"], lambda row: month_of(row["cohort_month"]))),
        (expected_lines, grouped(rows["order_lines"], lambda row: month_of(row["order_date"]))),
        (expected_campaigns, grouped(rows["campaign_engagement"], lambda row: month_of(row["month"]))),
        (expected_lists, grouped(rows["consent_changes"], lambda row: month_of(row["month"]))),
        (expected_comebacks, grouped(rows["comebacks"], lambda row: month_of(row["return_date"]))),
        (expected_onboarding, grouped(rows["onboarding_cohorts"], lambda row: month_of(row["cohort_month"]))),
        (expected_habits, grouped(
            [row for row in rows["customer_habits"] if row["first_active_date"]], lambda row: month_of(row["first_active_date"])
        )),
        (expected_app_use, defaultdict(dict, {month_of(row["metric_date"]): row for row in rows["app days"]})),
        (expected_subscriptions, grouped(rows["subscription_movements"], lambda row: month_of(row["month"]))),
    ]  # fmt: skip
    expected = {
        (month,): expected_stocks(row) | {k: v for of, groups in parts for k, v in of(groups[month]).items()}
        for month, row in last_day.items()
    }
    expected[(None,)] = expected_habits([row for row in rows["customer_habits"] if row["first_active_date"] is None])
    check(answers["month"], expected)
    for row in rows["growth_accounting"]:
        answered = answers["month"][(month_of(row["month"]),)]
        assert same(answered["retention_rate"], row["retention_rate"])
        assert same(answered["quick_ratio"], row["quick_ratio"])
        known = [
            order
            for order in rows["orders"]
            if order["person_id"] and f"{order['order_date']:%Y-%m}" == row["month_label"]
        ]
        assert sum(order["gross_amount"] for order in known) == row["revenue"]
        assert answered["ordering_customers"] == str(row["active"])
    complete = {(month_of(row["month"]), str(row["is_complete"])) for row in rows["growth_accounting"]}
    assert {group for group in answers["complete"] if group[1]} == complete


def test_stocks_and_rates_by_day(answers, rows):
    expected = {(f"{row['metric_date']} 00:00:00",): expected_stocks(row) for row in rows["days"]}
    assert any(row["loyal_customer_rate"] is None for row in expected.values()), "a day without repeat customers"
    check(answers["day"], expected)


def test_people_by_what_is_known_of_them(answers, rows, marts):
    person = {row["person_id"]: row for row in rows["people"]}
    nobody = defaultdict(lambda: None)
    keys = {
        "stage": lambda row: row["stage"],
        "country": lambda row: row["country"],
        "channel": lambda row: row["acquisition_channel"],
        "first order": lambda row: month_of(row["first_order_date"]) if row["first_order_date"] else None,
    }
    for name, key in keys.items():
        people = grouped(rows["people"], key)
        orders = grouped(rows["orders"], lambda row, key=key: key(person.get(row["person_id"], nobody)))
        assert len(people) > 5
        check(
            answers[name],
            {
                (group,): {
                    metric: value
                    for metric, value in (expected_people(people[group]) | expected_orders(orders[group])).items()
                    if metric not in ("discounts", "refunds", "orders_per_customer")
                }
                for group in people.keys() | orders.keys()
            },
        )
    for stage, people in marts.rows("select stage, people from marts.stage_summary where people > 0"):
        assert same(answers["stage"][(stage,)]["current_users"], people)


def test_orders_by_channel(answers, rows):
    groups = grouped(rows["orders"], lambda row: (row["order_channel"], row["order_type"]))
    assert {kind for _, kind in groups} == {"new", "repeat", "unknown"}
    expected = {group: expected_orders(orders) for group, orders in groups.items()}
    check(answers["order channel"], {g: {m: v[m] for m in ("orders", "net_revenue")} for g, v in expected.items()})


def test_stages_through_time(answers, rows, marts):
    groups = grouped(rows["stage_transitions"], lambda row: (month_of(row["month"]), row["to_stage"]))
    check(
        answers["stage through time"], {g: {"stage_people": sum(r["people"] for r in of)} for g, of in groups.items()}
    )
    last = f"{AS_OF[:7]}-01 00:00:00"
    for stage, people in marts.rows("select stage, people from marts.stage_summary"):
        assert same(answers["stage through time"][(last, stage)]["stage_people"], people)


def test_cohorts_cell_by_cell(answers, rows):
    cells = {
        (r["cohort"], str(r["period_index"])): {"cohort_retention": r["retention"]} for r in rows["cohort_retention"]
    }
    check(answers["cohort"], cells)
    windows = {
        (r["cohort"], str(r["window_index"])): {"cohort_retention_30d": r["retention"]}
        for r in rows["cohort_retention_30d"]
    }
    assert any(row["cohort_retention_30d"] is None for row in windows.values()), "a window that is over for nobody"
    check(answers["window"], windows)


def test_by_a_dimension_of_their_own(answers, rows):
    for name, mart, column, of in (
        ("category", "order_lines", "category", expected_lines),
        ("campaign", "campaign_engagement", "campaign_type", expected_campaigns),
        ("list", "consent_changes", "channel", expected_lists),
        ("returns", "comebacks", "from_stage", expected_comebacks),
        ("onboarding", "onboarding_cohorts", "name", expected_onboarding),
        ("platform", "customer_habits", "platform", expected_habits),
        ("subscriptions", "subscription_movements", "is_complete", expected_subscriptions),
    ):
        groups = grouped(rows[mart], lambda row, column=column: None if row[column] is None else str(row[column]))
        asked = next(iter(answers[name].values())).keys()
        assert len(groups) > 1
        check(answers[name], {(group,): {metric: of(own)[metric] for metric in asked} for group, own in groups.items()})


def test_the_command_says_what_is_missing(tmp_path):
    environment = os.environ | {"LIFECYCLE_PUBLISHED": str(tmp_path / "nothing.duckdb")}
    done = subprocess.run([PROJECT / "scripts/mf", "query"], env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("mf: there is no ") and done.stderr.count("\n") == 1
