"""The past as the history tells it is the past as it was built: thresholds pinned, a full build and builds of earlier days.

Erasure and identity are taken as known now, in both builds alike: who is erased, and who is the same person, comes from all
of the raw data. Orders, events, refunds and erasures themselves are cut by their own time.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

from support import PROJECT, Warehouse, dbt

PINNED = {"at_risk_after_days": 45, "lapsed_after_days": 120}
CDNOW = {"sources": ["orders_file"], "business_time_zone": "UTC", "reporting_currency": "USD"}
# the first day, a month end, a leap day, the day that loses an hour, the day before the last
DEMO_DAYS = ["first", "2025-11-30", "2024-02-29", "2025-03-30", "2026-06-29"]
CDNOW_DAYS = ["first", "1997-02-28", "1997-03-15", "1997-12-31", "1998-06-29"]


def replay(raw, folder, as_of, days, **variables):
    """The full build, and {day: build of that day}."""

    def run(day, *models):
        path = folder / f"on_{day.replace('-', '_')}.duckdb"
        no_tests = ["--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"]
        given = variables | PINNED | {"as_of_date": day}
        dbt("build", *no_tests, "--select", *models, raw=raw, warehouse=path, variables=given)
        return Warehouse(path)

    full = run(as_of, "+customers", "+rfm_history")
    (first,) = full.row("select cast(min(first_seen_at) as date) from marts.customers")
    days = [str(first) if day == "first" else day for day in days]
    with ThreadPoolExecutor(2) as pool:
        return full, dict(zip(days, pool.map(lambda day: run(day, "+customers"), days), strict=True))


def stages_by_history(full, day):
    end = date.fromisoformat(day) + timedelta(1)
    return full.rows(
        "select person_id, stage, entered_at, cycle_number from marts.customer_stage_history "
        f"where entered_at < timestamp '{end}' and (exited_at is null or exited_at >= timestamp '{end}') order by 1"
    )


def check(full, builds):
    for day, build in builds.items():
        then = build.rows("select person_id, stage, stage_entered_at, cycle_number from marts.customers order by 1")
        assert then, day
        assert stages_by_history(full, day) == then, day
        rfm = "person_id, recency_days, frequency, monetary, r_score, f_score, m_score, segment"
        by_history = full.rows(f"select {rfm} from marts.rfm_history where month_end = date '{day}' order by 1")
        if by_history:
            assert by_history == build.rows(f"select {rfm} from marts.customer_rfm order by 1"), day


def test_the_demo_replays(demo_raw, tmp_path):
    full, builds = replay(demo_raw, tmp_path, "2026-06-30", DEMO_DAYS, business_time_zone="Europe/Berlin")
    check(full, builds)
    stages = {row[1] for day in builds for row in stages_by_history(full, day)}
    listed = {line.split(",")[1] for line in (PROJECT / "seeds" / "lifecycle_stages.csv").read_text().splitlines()[1:]}
    assert stages == listed, "every stage is replayed"


def test_cdnow_replays(cdnow_raw, tmp_path):
    check(*replay(cdnow_raw, tmp_path, "1998-06-30", CDNOW_DAYS, **CDNOW))
