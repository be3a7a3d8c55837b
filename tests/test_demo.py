"""The demo, end to end: every dbt test, the same marts twice and from shuffled rows, publishing, and late data."""

import os
import shutil
import subprocess
import sys

import duckdb
import pytest

from support import PROJECT, Warehouse, dbt

AS_OF = "2026-06-30"
VARIABLES = {"as_of_date": AS_OF, "business_time_zone": "Europe/Berlin"}


def script(name, *arguments, **environment):
    return subprocess.run(
        [sys.executable, PROJECT / "scripts" / name, *map(str, arguments)],
        env=os.environ | {key: str(value) for key, value in environment.items()},
        capture_output=True,
        text=True,
        cwd=PROJECT,
    )


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "raw"
    done = script("generate_demo_data.py", "--as-of", AS_OF, "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def warehouse(raw, tmp_path_factory):
    """A green build of everything, unit tests included."""
    path = tmp_path_factory.mktemp("demo_warehouse") / "lifecycle.duckdb"
    done = dbt("build", raw=raw, warehouse=path, variables=VARIABLES)
    assert "WARN" not in done.stdout.replace("WARN=0", ""), "dbt warns of something"
    return path


def checksums(path):
    """A checksum of every mart that depends on its rows and not on their order."""
    with duckdb.connect(str(path), read_only=True) as connection:
        tables = connection.execute(
            "select table_name from information_schema.tables where table_schema = 'marts' order by 1"
        ).fetchall()
        return {
            table: connection.execute(
                f"select count(*), md5(string_agg(row_text, '|' order by row_text)) "
                f"from (select cast(mart as varchar) as row_text from marts.{table} as mart)"
            ).fetchone()
            for (table,) in tables
        }


def test_the_same_rows_in_any_order_give_the_same_marts(raw, warehouse, tmp_path):
    shuffled = tmp_path / "shuffled"
    for path in raw.rglob("*.parquet"):
        target = shuffled / path.relative_to(raw)
        target.parent.mkdir(parents=True, exist_ok=True)
        rows = f"select columns(* exclude file_row_number) from read_parquet('{path}', file_row_number = true)"
        duckdb.execute(f"copy ({rows} order by md5(cast(file_row_number as varchar))) to '{target}'")
    first = checksums(warehouse)
    assert all(count for count, _ in first.values()), "every mart has rows on the demo data"
    for number, folder in enumerate((raw, shuffled)):
        again = tmp_path / f"again{number}.duckdb"
        dbt("build", "--exclude-resource-type", "unit_test", raw=folder, warehouse=again, variables=VARIABLES)
        assert checksums(again) == first


def test_a_later_build_keeps_the_people(raw, warehouse, tmp_path):
    """person_id is the same a quarter earlier; nobody is in customers who was not seen by then."""
    earlier = tmp_path / "earlier.duckdb"
    variables = VARIABLES | {"as_of_date": "2026-03-31"}
    dbt("build", "--exclude-resource-type", "unit_test", raw=raw, warehouse=earlier, variables=variables)
    then, now = Warehouse(earlier), Warehouse(warehouse)
    known = {row[0] for row in then.rows("select person_id from marts.customers")}
    seen = {row[0] for row in now.rows("select person_id from marts.customers where first_seen_at < '2026-04-01'")}
    assert known == seen
    assert len(known) < now.row("select count(*) from marts.customers")[0]


def test_a_changed_threshold_builds_green_and_changes_the_marts(raw, warehouse, tmp_path):
    """The README's own example, unit tests included: they stand on their own variables."""
    changed = {"active_days": 14, "loyal_min_orders": 5, "at_risk_after_days": 60, "lapsed_after_days": 180}
    path = tmp_path / "lifecycle.duckdb"
    dbt("build", raw=raw, warehouse=path, variables=VARIABLES | changed)
    figures = "select count_if(is_active_30d), count_if(is_loyal_customer), count_if(stage = 'lapsed') from marts.customers"
    before, after = Warehouse(warehouse).row(figures), Warehouse(path).row(figures)
    assert all(later < earlier for earlier, later in zip(before, after, strict=True))
    thresholds = "select at_risk_after_days, lapsed_after_days, at_risk_source from marts.stage_thresholds"
    assert Warehouse(path).row(thresholds) == (60, 180, "variable")


def test_erased_people_are_counted_and_show_nothing(warehouse):
    erased = Warehouse(warehouse).dicts("select * from marts.customers where stage = 'erased'")
    assert erased
    personal = ("primary_customer_id", "app_user_id", "email", "phone", "first_name", "last_name", "city", "region")
    assert all(row[column] is None for row in erased for column in personal)
    assert not any(row[f"can_{channel}"] for row in erased for channel in ("email", "sms", "push", "ads"))


def test_every_mess_of_the_demo_is_handled(warehouse):
    marts = Warehouse(warehouse)
    reasons = {row[0] for row in marts.rows("select reason from intermediate.rejected_rows")}
    assert {
        "gross_amount: not a decimal(18, 4)",
        "order_id: missing",
        "ordered_at: not a timestamp",
        "currency: no exchange rate (seed exchange_rates)",
    } <= reasons
    assert marts.row("select count(*) > 0 from staging.base_shop__orders where row_status = 'duplicate'")[0]
    assert marts.row("select count(*) > 0 from marts.orders where person_id is null")[0]
    assert marts.row("select max(metric_date) from marts.lifecycle_metrics")[0].isoformat() == AS_OF
    stages = dict(marts.rows("select stage, people from marts.stage_summary"))
    assert all(stages.values()), f"a stage without people: {stages}"
    blocked = {row[0] for row in marts.rows("select blocked_reason from marts.customer_channels")}
    assert {None, "erased", "complaint", "hard_bounce", "unsubscribed", "no_consent"} <= blocked
    assert marts.row("select count(*) > 0 from intermediate.int_unlinked_emails")[0]


def test_publish_swaps_a_whole_file_that_others_may_hold_open(warehouse, tmp_path):
    published = tmp_path / "published" / "customer_lifecycle.duckdb"
    done = script("publish.py", "--warehouse", warehouse, "--published", published)
    assert done.returncode == 0, done.stderr
    assert published.stat().st_mode & 0o077 == 0, "addresses are nobody else's business"
    assert checksums(published) == checksums(warehouse)

    reader = duckdb.connect(str(published), read_only=True)
    before = published.stat().st_ino
    assert script("publish.py", "--warehouse", warehouse, "--published", published).returncode == 0
    assert published.stat().st_ino != before
    assert reader.execute("select count(*) from marts.customers").fetchone()[0] > 0
    reader.close()
    assert [path.name for path in published.parent.iterdir() if path.name.startswith(".")] == [".publish.lock"]


def test_the_export_writes_whom_the_marts_allow_and_nobody_else(warehouse, tmp_path):
    published, out = tmp_path / "customer_lifecycle.duckdb", tmp_path / "exports"
    assert script("publish.py", "--warehouse", warehouse, "--published", published).returncode == 0
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


def test_publish_refuses_what_is_not_green(raw, warehouse, tmp_path):
    published = tmp_path / "customer_lifecycle.duckdb"
    copy = tmp_path / "red.duckdb"
    shutil.copy(warehouse, copy)
    for sql, message in (
        ("update audit.invocations set is_green = false", "did not end green"),
        ("update audit.invocations set is_green = null", "did not end green"),
        ("update audit.invocations set is_green = true, command = 'run'", "tests nothing"),
        ("drop table audit.invocations", "never been built"),
    ):
        with duckdb.connect(str(copy)) as connection:
            connection.execute(sql)
        done = script("publish.py", "--warehouse", copy, "--published", published)
        assert (done.returncode, message in done.stderr) == (3, True), done.stderr
        assert not published.exists()
    done = script("publish.py", "--warehouse", tmp_path / "none.duckdb", "--published", published)
    assert done.returncode == 2 and "run `dbt build`" in done.stderr


def test_a_failed_build_is_not_green(raw, tmp_path):
    """A consent row that cannot be read may be a no: the build fails and nothing is published."""
    broken = tmp_path / "raw"
    shutil.copytree(raw, broken)
    (broken / "esp" / "consents.parquet").unlink()
    (broken / "esp" / "consents.csv").write_text(
        "email,phone,user_id,channel,status,changed_at\na@example.com,,,email,opted_in,2024-01-01\nb@example.com,email\n"
    )
    path = tmp_path / "lifecycle.duckdb"
    done = dbt(
        "build", "--exclude-resource-type", "unit_test", raw=broken, warehouse=path, variables=VARIABLES, check=False
    )
    assert done.returncode
    assert "no_refusal_is_rejected" in done.stdout
    assert script("publish.py", "--warehouse", path, "--published", tmp_path / "p.duckdb").returncode == 3
