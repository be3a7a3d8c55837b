"""Two real data sets, end to end, against an oracle in plain Python and against published references."""

import csv
import gzip
import importlib.util
import json
import math
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import oracle
import pytest
from conftest import shared_data

CDNOW_AS_OF = date(1998, 6, 30)
RETAIL_AS_OF = date(2011, 12, 9)


def references(folder, name):
    path = folder / name
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        return list(csv.DictReader(lines))


@pytest.fixture(scope="session")
def cdnow_orders():
    """The CDNOW sample as it ships in the package lifetimes (only its data are used)."""
    spec = importlib.util.find_spec("lifetimes")
    if spec is None:
        pytest.skip("the package lifetimes is not installed: pip install --no-deps lifetimes==0.11.3")
    path = Path(spec.submodule_search_locations[0]) / "datasets" / "CDNOW_sample.txt"
    rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
    return [(row[0], date.fromisoformat(row[2]), Decimal(row[4])) for row in rows]


@pytest.fixture(scope="session")
def cdnow(build, cdnow_orders, tmp_path_factory):
    raw = tmp_path_factory.mktemp("cdnow")
    with (raw / "orders.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["customer_id", "ordered_at", "amount"])
        writer.writerows(cdnow_orders)
    return build(
        raw,
        sources=["orders_file"],
        as_of_date=str(CDNOW_AS_OF),
        business_time_zone="UTC",
        reporting_currency="USD",
    )


@pytest.fixture(scope="session")
def retail_raw(tmp_path_factory):
    source = shared_data("online_retail_2011") / "online_retail_2010_2011.csv.gz"
    raw = tmp_path_factory.mktemp("retail")
    (raw / "online_retail.csv.gz").symlink_to(source)
    return raw


def retail_build(build, raw, **variables):
    return build(
        raw,
        sources=["online_retail"],
        as_of_date=str(RETAIL_AS_OF),
        business_time_zone="Europe/London",
        reporting_currency="GBP",
        **variables,
    )


@pytest.fixture(scope="session")
def retail(build, retail_raw):
    return retail_build(build, retail_raw)


@pytest.fixture(scope="session")
def retail_merchandise(build, retail_raw):
    return retail_build(build, retail_raw, online_retail_include_non_products=False)


def test_cdnow_headline(cdnow):
    assert cdnow.row(
        "select count(*), sum(orders_count), sum(gross_revenue), count_if(is_repeat_customer), "
        "count_if(is_loyal_customer) from marts.customers"
    ) == (2357, 6919, Decimal("244091.9400"), 1152, 746)
    assert cdnow.row("select count(*) from marts.orders where gross_amount = 0") == (8,)


def test_cdnow_customers_equal_the_oracle(cdnow, cdnow_orders):
    facts = oracle.rfm(cdnow_orders, CDNOW_AS_OF)
    scores = oracle.rfm_scores(facts)
    marts = {
        row[0]: row[1:]
        for row in cdnow.rows(
            "select primary_customer_id, r.recency_days, r.frequency, r.monetary, r.r_score, r.f_score, r.m_score "
            "from marts.customers join marts.customer_rfm r using (person_id)"
        )
    }
    assert marts == {customer: facts[customer] + scores[customer] for customer in facts}


def test_cdnow_stages_equal_the_oracle(cdnow, cdnow_orders):
    at_risk, lapsed, source = cdnow.row(
        "select at_risk_after_days, lapsed_after_days, at_risk_source from marts.stage_thresholds"
    )
    assert (at_risk, lapsed) == tuple(map(math.ceil, oracle.gap_percentiles(cdnow_orders, CDNOW_AS_OF)))
    assert source == "data"
    assert dict(cdnow.rows("select primary_customer_id, stage from marts.customers")) == {
        customer: oracle.stage(days, CDNOW_AS_OF, at_risk, lapsed)
        for customer, days in oracle.order_days(cdnow_orders).items()
    }


def test_cdnow_cohorts_equal_the_oracle(cdnow, cdnow_orders):
    months = {
        row[:2]: row[2:]
        for row in cdnow.rows(
            "select cohort_month, period_index, cohort_size, active_customers, orders, gross_revenue "
            "from marts.cohort_retention"
        )
    }
    assert months == oracle.cohort_months(cdnow_orders, CDNOW_AS_OF)
    windows = {
        row[:2]: row[2:]
        for row in cdnow.rows(
            "select cohort_month, window_index, cohort_size, active_customers, mature_customers, active_mature "
            "from marts.cohort_retention_30d"
        )
    }
    assert windows == oracle.cohort_windows(cdnow_orders, CDNOW_AS_OF)


def test_cdnow_cohort_values_equal_the_oracle(cdnow, cdnow_orders):
    """An orders file knows no channels: the second kind of cohort is one group with everybody."""
    marts = cdnow.rows(
        "select cohort_type, cohort, age_days, customers, eligible_customers, gross_revenue, net_revenue, "
        "gross_revenue_per_customer, is_complete from marts.cohort_value"
    )
    for kind, cohort_of in (
        ("month", lambda _, first: first.strftime("%Y-%m")),
        ("acquisition_channel", lambda *_: "unknown"),
    ):
        expected = oracle.cohort_values(cdnow_orders, CDNOW_AS_OF, cohort_of)
        assert {(row[1], row[2]): row[3:6] for row in marts if row[0] == kind} == expected
    for _, _, _, customers, eligible, gross, net, per_customer, is_complete in marts:
        assert net == gross and is_complete == (customers == eligible)
        assert per_customer == (pytest.approx(gross / eligible, abs=Decimal("0.0001")) if eligible else None)


def test_cdnow_daily_metrics_equal_the_oracle(cdnow, cdnow_orders):
    first = min(day for _, day, _ in cdnow_orders)
    days = [first + timedelta(n) for n in range((CDNOW_AS_OF - first).days + 1)]
    counts = {}
    for day in days:
        orders = [len([d for d in own if d <= day]) for own in oracle.order_days(cdnow_orders).values()]
        stocks = tuple(sum(n >= least for n in orders) for least in (1, 2, 3))
        counts[day] = (*stocks, oracle.active_customers(cdnow_orders, day))
    marts = cdnow.rows(
        "select metric_date, customers, repeat_customers, loyal_customers, active_users from marts.lifecycle_metrics"
    )
    assert {row[0]: row[1:] for row in marts} == counts


def matches_references(warehouse, folder, as_of, grossly):
    """Every row of every reference file that the marts of issue A cover."""
    (rfm_file,) = folder.glob("rfm_*")
    expected = {
        row["customer_id"]: (int(row["recency_days"]), int(row["frequency"]), Decimal(row["monetary"]))
        for row in references(folder, rfm_file.name)
    }
    assert expected == {
        row[0]: row[1:]
        for row in warehouse.rows(
            f"select primary_customer_id, recency_days, orders_count, {grossly} from marts.customers where is_customer"
        )
    }

    expected = {
        (row["cohort_month"], int(row["period_index"])): (
            int(row["cohort_size"]),
            int(row["active_customers"]),
            pytest.approx(float(row["retention"]), abs=1e-9),
            int(row["orders"]),
            Decimal(row["revenue"]),
            Decimal(row["cum_revenue"]),
        )
        for row in references(folder, "cohort_monthly.csv")
    }
    assert expected == {
        row[:2]: row[2:]
        for row in warehouse.rows(
            "select cohort, period_index, cohort_size, active_customers, retention, orders, gross_revenue, "
            "cumulative_gross_revenue from marts.cohort_retention"
        )
    }

    expected = {
        (row["cohort_month"], int(row["window_index"])): (
            int(row["cohort_size"]),
            int(row["active_customers"]),
            int(row["mature_customers"]),
            int(row["active_mature"]),
            pytest.approx(float(row["retention_mature"]), abs=1e-9) if row["retention_mature"] else None,
        )
        for row in references(folder, "cohort_30d_windows.csv")
    }
    assert expected == {
        row[:2]: row[2:]
        for row in warehouse.rows(
            "select cohort, window_index, cohort_size, active_customers, mature_customers, active_mature, retention "
            "from marts.cohort_retention_30d"
        )
    }

    for row in references(folder, "active_passive_asof.csv"):
        if date.fromisoformat(row["as_of"]) <= as_of:
            assert warehouse.row(
                "select customers, active_users, repeat_customers, loyal_customers from marts.lifecycle_metrics "
                f"where metric_date = date '{row['as_of']}'"
            ) == tuple(int(row[key]) for key in ("customers", "active_lt30", "repeat_customers", "loyal_ge3"))

    headline = json.loads((folder / "headline.json").read_text())
    assert warehouse.row(
        "select customers, repeat_customers, loyal_customers, repeat_customer_rate, loyal_customer_rate "
        "from marts.lifecycle_metrics order by metric_date desc limit 1"
    ) == (
        headline["customers"],
        headline["repeat_customers"],
        headline["loyal_customers"],
        pytest.approx(headline["repeat_rate"]),
        pytest.approx(headline["loyal_share_of_repeat"]),
    )
    assert warehouse.row("select count(*), sum(gross_amount) from marts.orders where person_id is not null") == (
        headline["orders"],
        Decimal(str(headline["revenue"])),
    )


def test_cdnow_equals_the_references(cdnow):
    matches_references(cdnow, shared_data("cdnow_sample") / "reference_row", CDNOW_AS_OF, "net_revenue")


def test_online_retail_equals_the_references(retail):
    folder = shared_data("online_retail_2011") / "reference_V1_dedup_exact"
    matches_references(retail, folder, RETAIL_AS_OF, "gross_revenue")


def test_online_retail_without_non_products_equals_the_references(retail_merchandise):
    folder = shared_data("online_retail_2011") / "reference_V3_merch"
    matches_references(retail_merchandise, folder, RETAIL_AS_OF, "gross_revenue")


def test_online_retail_credit_notes_lower_the_customers_revenue(retail):
    folder = shared_data("online_retail_2011") / "reference_V1_dedup_exact"
    expected = json.loads((folder / "headline.json").read_text())["net_policy_V4"]
    net, negative, zero = retail.row(
        "select sum(net_revenue), count_if(net_revenue < 0), count_if(net_revenue = 0 and gross_revenue > 0) "
        "from marts.customers"
    )
    assert net == Decimal(str(expected["net_revenue"]))
    assert negative == expected["customers_net_negative"]
    assert zero <= expected["customers_net_zero"]
