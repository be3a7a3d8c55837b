"""Subscriptions: the marts of the demo against plain Python from its raw files, and what becomes of rows that cannot be taken."""

from datetime import date

import pytest

import subscription_answers
from support import Warehouse
from test_shop_answers import compare

HEADER = (
    "subscription_id,customer_id,plan,status,price,currency,interval,trial_ends_at,started_at,renewed_at,paused_at,cancelled_at"
)
VARIABLES = {"sources": ["shop"], "as_of_date": "2024-03-15", "business_time_zone": "UTC", "reporting_currency": "EUR"}


@pytest.fixture(scope="module")
def marts(demo_warehouse):
    return Warehouse(demo_warehouse)


def test_subscriptions_of_the_demo(marts, demo_shop):
    expected = subscription_answers.subscriptions(demo_shop)
    compare(
        marts.rows(
            "select subscription_id, person_id, plan, status, monthly_price, started_at, paid_from, paused_at, cancelled_at, "
            "is_trial, is_active, is_converted, next_plan, is_upgrade_candidate from marts.subscriptions"
        ),
        expected,
    )
    trial, active, converted, _, wanted = zip(*(row[8:] for row in expected.values()), strict=True)
    assert 10 < sum(wanted) < sum(active) < len(expected), "some are asked, and not all"
    assert any(trial) and {*converted} == {True, False, None}
    assert {row[5] is None for row in expected.values()} == {True, False}
    assert len(expected) < len(subscription_answers.taken(demo_shop)), "some are of erased people"


def test_movements_of_the_demo(marts, demo_shop):
    names = ("opening", *subscription_answers.MOVEMENTS, "closing")
    expected = subscription_answers.movements(demo_shop)
    compare(
        marts.rows(
            f"select month, {', '.join(f'{name}_mrr' for name in names)}, subscribers, new_subscribers, churned_subscribers, "
            "reactivated_subscribers, trials_started, trials_ended, trials_converted, trial_conversion_rate, is_complete "
            "from marts.subscription_movements"
        ),
        expected,
    )
    sums = [sum(row[position] for row in expected.values()) for position in range(1, 6)]
    assert all(sums), "each way to win and to lose is there"
    # what the two marts say of the day, but for people who were erased
    assert marts.row("select sum(monthly_price) from marts.subscriptions where is_active") == (expected[date(2026, 6, 1)][6],)


def test_the_demos_untidy_rows_are_accounted_for(marts):
    rejected = "from intermediate.rejected_rows where table_name = 'subscriptions'"
    reasons = dict(marts.rows(f"select reason, count(*) {rejected} group by reason"))
    assert {reason.partition(":")[0] for reason in reasons} == {"interval", "price", "currency", "cancelled_at"}
    raw, staged, duplicates, rejected = marts.row(
        "select raw_rows, staged_rows, duplicate_rows, rejected_rows from marts.source_tables where table_name = 'subscriptions'"
    )
    assert raw == staged + duplicates + rejected and duplicates > 0 and rejected == sum(reasons.values())


# --- rows that cannot be taken, or are odd -------------------------------------------------------------------------

ROWS = {
    "taken": "c1,Basic,ACTIVE,10,,Month ,,2024-01-01,,,",
    "dollars": "c1,Basic,active,10,USD,month,,2024-01-01,,,",
    "nobody": ",Basic,active,10,EUR,month,,2024-01-01,,,",
    "stranger": "c9,Basic,active,10,EUR,month,,2024-01-01,,,",
    "no_price": "c1,Basic,active,,EUR,month,,2024-01-01,,,",
    "no_number": "c1,Basic,active,ten,EUR,month,,2024-01-01,,,",
    "below_0": "c1,Basic,active,-0.01,EUR,month,,2024-01-01,,,",
    "free": "c1,Free,active,0,EUR,month,,2024-01-01,,,",
    "no_interval": "c1,Basic,active,10,EUR,,,2024-01-01,,,",
    "fortnight": "c1,Basic,active,10,EUR,fortnight,,2024-01-01,,,",
    "no_currency": "c1,Basic,active,10,XXX,month,,2024-01-01,,,",
    "no_start": "c1,Basic,active,10,EUR,month,,,,,",
    "no_day": "c1,Basic,active,10,EUR,month,someday,2024-01-01,,,",
    "ends_before": "c1,Basic,cancelled,10,EUR,month,,2024-01-02,,,2024-01-01",
    "ends_at_once": "c1,Basic,cancelled,10,EUR,month,,2024-01-02,,,2024-01-02",
    "no_end": "c1,Basic,Canceled,10,EUR,month,,2024-01-01,,,",
    "no_pause": "c1,Basic,paused,10,EUR,month,,2024-01-01,,,",
    "renewed_since": "c1,Basic,active,10,EUR,month,,2024-01-01,2024-03-01,2024-02-01,",
    "later": "c1,Basic,active,10,EUR,month,,2024-03-16,,,",
}
REJECTED = {
    "no_price": "price: missing",
    "no_number": "price: not a number",
    "below_0": "price: negative",
    "no_interval": "interval: missing",
    "fortnight": "interval: not week, month, quarter or year",
    "no_currency": "currency: no rate from XXX to EUR up to that month; add it to seeds/exchange_rates.csv",
    "no_start": "started_at: missing",
    "no_day": "trial_ends_at: not a time",
    "ends_before": "cancelled_at: before started_at",
    "no_end": "cancelled_at: missing, though the status says that it ended",
    "no_pause": "paused_at: missing, though the status says that it is paused",
}


@pytest.fixture(scope="module")
def small_shop(build, tmp_path_factory):
    raw = tmp_path_factory.mktemp("subscriptions")
    (raw / "shop").mkdir()
    lines = [f"{name},{rest}" for name, rest in ROWS.items()]
    files = {
        "customers": ["customer_id,created_at", "c1,2023-12-01", "c2,2023-12-01"],
        "orders": ["order_id,customer_id,ordered_at,gross_amount", "o1,c2,2024-03-15,5"],
        "subscriptions": [HEADER, *lines, lines[0], f"dollars,{ROWS['dollars'].replace('10', '11')}", f",{ROWS['taken']}"],
    }
    for name, rows in files.items():
        (raw / "shop" / f"{name}.csv").write_text("\n".join(rows) + "\n")
    assert len({row.count(",") for row in files["subscriptions"]}) == 1
    return build(raw, **VARIABLES)


def test_every_reason_is_one_clear_line(small_shop):
    rejected = small_shop.rows("select row_key, reason from intermediate.rejected_rows")
    found = {key: reason for key, reason in rejected if key in ROWS and key != "dollars"}
    assert {key: reason[: len(REJECTED.get(key, ""))] for key, reason in found.items()} == REJECTED
    others = {(key, reason) for key, reason in rejected if key not in REJECTED}
    assert others == {("dollars", "subscription_id: repeated with other values"), (None, "subscription_id: missing")}
    counts = "raw_rows, staged_rows, duplicate_rows, rejected_rows, remarked_rows"
    assert small_shop.row(f"select {counts} from marts.source_tables where table_name = 'subscriptions'") == (
        len(ROWS) + 3, len(ROWS) - len(REJECTED), 1, len(REJECTED) + 2, 1,
    )  # fmt: skip


def test_what_is_taken_counts(small_shop):
    """A pause that a renewal followed still is one, and remarked; whom nobody knows subscribes, too, as nobody."""
    rows = small_shop.rows(
        "select subscription_id, person_id is not null, is_active, is_upgrade_candidate from marts.subscriptions"
    )
    assert {row[0]: row[1:] for row in rows} == {
        "taken": (True, True, False),
        "dollars": (True, True, False),
        "nobody": (False, True, False),
        "stranger": (False, True, False),
        "free": (True, True, False),
        "ends_at_once": (True, False, False),
        "renewed_since": (True, False, False),
    }
    assert small_shop.rows("select row_key, remark from intermediate.row_remarks where table_name = 'subscriptions'") == [
        ("renewed_since", "paused_at: before renewed_at, taken as paused ever since; leave it empty once a pause is over")
    ]
    # c1, nobody and the stranger; the running month follows on the two before
    assert small_shop.rows("select month_label, subscribers, is_complete from marts.subscription_movements order by month") == [
        ("2024-01", 3, True), ("2024-02", 3, True), ("2024-03", 3, False),
    ]  # fmt: skip
