"""The demo, end to end: every dbt test, the same marts twice and from shuffled rows, the export, and late data."""

import shutil

import duckdb

from support import DEMO, NO_UNIT_TESTS, Warehouse, checksums, dbt, script, share_key


def test_the_same_rows_in_any_order_give_the_same_marts(demo_raw, demo_warehouse, tmp_path):
    shuffled = tmp_path / "shuffled"
    for path in demo_raw.rglob("*.parquet"):
        target = shuffled / path.relative_to(demo_raw)
        target.parent.mkdir(parents=True, exist_ok=True)
        rows = f"select columns(* exclude file_row_number) from read_parquet('{path}', file_row_number = true)"
        duckdb.execute(f"copy ({rows} order by md5(cast(file_row_number as varchar))) to '{target}'")
    first = checksums(demo_warehouse)
    assert [mart for mart, (count, _) in first.items() if not count] == ["runs"], "every mart has rows on the demo data, but the log of daily runs"
    for number, folder in enumerate((demo_raw, shuffled)):
        again = tmp_path / f"again{number}.duckdb"
        share_key(demo_warehouse, again)
        dbt("build", *NO_UNIT_TESTS, raw=folder, warehouse=again, variables=DEMO)
        assert checksums(again) == first


def test_a_later_build_keeps_the_people(demo_raw, demo_warehouse, tmp_path):
    """person_id is the same a quarter earlier; nobody is in customers who was not seen by then."""
    earlier = tmp_path / "earlier.duckdb"
    variables = DEMO | {"as_of_date": "2026-03-31"}
    dbt("build", *NO_UNIT_TESTS, raw=demo_raw, warehouse=earlier, variables=variables)
    then, now = Warehouse(earlier), Warehouse(demo_warehouse)
    known = {row[0] for row in then.rows("select person_id from marts.customers")}
    seen = {row[0] for row in now.rows("select person_id from marts.customers where first_seen_at < '2026-04-01'")}
    assert known == seen
    assert len(known) < now.row("select count(*) from marts.customers")[0]


def test_a_changed_threshold_builds_green_and_changes_the_marts(demo_raw, demo_warehouse, tmp_path):
    """The README's own example, unit tests included: they stand on their own variables."""
    changed = {"active_days": 14, "loyal_min_orders": 5, "at_risk_after_days": 60, "lapsed_after_days": 180}
    path = tmp_path / "lifecycle.duckdb"
    dbt("build", "--selector", "everything", raw=demo_raw, warehouse=path, variables=DEMO | changed)
    figures = "select count_if(is_active_30d), count_if(is_loyal_customer), count_if(stage = 'lapsed') from marts.customers"
    before, after = Warehouse(demo_warehouse).row(figures), Warehouse(path).row(figures)
    assert all(later < earlier for earlier, later in zip(before, after, strict=True))
    thresholds = "select at_risk_after_days, lapsed_after_days, at_risk_source from marts.stage_thresholds"
    assert Warehouse(path).row(thresholds) == (60, 180, "variable")


def test_erased_people_are_counted_and_show_nothing(demo_warehouse):
    erased = Warehouse(demo_warehouse).dicts("select * from marts.customers where stage = 'erased'")
    assert erased
    personal = ("primary_customer_id", "app_user_id", "email", "phone", "first_name", "last_name", "city", "region")
    assert all(row[column] is None for row in erased for column in personal)
    assert not any(row[f"can_{channel}"] for row in erased for channel in ("email", "sms", "push", "ads"))


def test_every_mess_of_the_demo_is_handled(demo_warehouse):
    marts = Warehouse(demo_warehouse)
    reasons = {row[0].split(" (")[0] for row in marts.rows("select reason from intermediate.rejected_rows")}
    assert {
        "gross_amount: not a number",
        "order_id: missing",
        "ordered_at: not a time that can be read",
        "currency: no rate from XXX to EUR up to that month; add it to seeds/exchange_rates.csv",
    } <= reasons
    assert marts.row("select count(*) > 0 from staging.base_shop__orders where row_status = 'duplicate'")[0]
    assert marts.row("select count(*) > 0 from marts.orders where person_id is null")[0]
    assert marts.row("select max(metric_date) from marts.lifecycle_metrics")[0].isoformat() == DEMO["as_of_date"]
    stages = dict(marts.rows("select stage, people from marts.stage_summary"))
    assert all(stages.values()), f"a stage without people: {stages}"
    blocked = {row[0] for row in marts.rows("select blocked_reason from marts.customer_channels")}
    assert {None, "erased", "complaint", "hard_bounce", "unsubscribed", "no_consent"} <= blocked
    assert marts.row("select count(*) > 0 from intermediate.int_unlinked_emails")[0]


def test_the_export_writes_whom_the_marts_allow_and_nobody_else(demo_warehouse, tmp_path):
    published, out = tmp_path / "customer_lifecycle.duckdb", tmp_path / "exports"
    assert script("publish.py", "--warehouse", demo_warehouse, "--published", published).returncode == 0
    done = script(
        "export_audiences.py", "run", "--from", published, "--out", out, "--now", "2026-07-01T06:00:00+00:00",
        LIFECYCLE_STATE=tmp_path / "state",
    )
    assert done.returncode in (0, 5), done.stdout + done.stderr
    marts = Warehouse(published)
    written = 0
    for (audience,) in marts.rows("select audience from marts.audience_summary where channels like '%email%'"):
        (path,) = out.glob(f"*/csv/{audience}.csv")
        people = [row[0] for row in duckdb.execute(f"select person_id from read_csv('{path}', all_varchar = true)").fetchall()]
        allowed = {row[0] for row in marts.rows(
            f"select person_id from marts.audience_members where audience = '{audience}' and can_email and not is_holdout"
        )}
        assert set(people) <= allowed and len(people) == len(set(people)), audience
        # what is missing shares an address with somebody who said no, or with another member
        assert len(people) >= 0.9 * len(allowed), audience
        written += len(people)
    assert written > 100
    said = done.stdout + done.stderr
    assert "@" not in said and not any(phone in said for (phone,) in marts.rows("select phone from marts.customers where phone is not null"))


def test_a_failed_build_is_not_green(demo_raw, tmp_path):
    """A table of which no row can be read stops the build, with what was seen and how to mend it; nothing is published."""
    broken = tmp_path / "raw"
    shutil.copytree(demo_raw, broken)
    (broken / "shop" / "refunds.parquet").unlink()
    (broken / "shop" / "refunds.csv").write_text('refund_id,order_id,refunded_at,amount\nR1,O1,2026-01-01,"10,50"\n')
    path = tmp_path / "lifecycle.duckdb"
    done = dbt(
        "build", *NO_UNIT_TESTS, raw=broken, warehouse=path, variables=DEMO, check=False
    )
    assert done.returncode
    remedy = "base_shop__refunds, 1 of 1 rows: amount: a decimal comma; declare source_settings.shop.decimal"
    assert remedy in done.stdout and "10,50" not in done.stdout
    assert script("publish.py", "--warehouse", path, "--published", tmp_path / "p.duckdb").returncode == 3
