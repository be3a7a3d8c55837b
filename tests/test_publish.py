"""Publishing: whole and green or not at all, whoever reads meanwhile and whenever it is killed."""

import random
import shutil
import subprocess
import sys
import time

import duckdb
import pytest

from support import PROJECT, checksum, checksums, dbt, script

SMALL = {"sources": ["orders_file"], "business_time_zone": "UTC"}


def publish(warehouse, published, *options):
    return script("publish.py", "--warehouse", warehouse, "--published", published, *options)


def of_parquet(folder):
    return {path.stem: checksum(duckdb, f"read_parquet('{path}')") for path in folder.glob("*.parquet")}


@pytest.fixture(scope="module")
def changed(demo_warehouse, tmp_path_factory):
    """A green warehouse every mart of which differs from the demo's."""
    path = tmp_path_factory.mktemp("changed") / "lifecycle.duckdb"
    shutil.copy(demo_warehouse, path)
    with duckdb.connect(str(path)) as connection:
        for table in checksums(demo_warehouse):
            connection.execute(f"delete from marts.{table} where rowid = (select min(rowid) from marts.{table})")
    return path


def test_a_whole_file_is_swapped_in_that_others_may_hold_open(demo_warehouse, changed, tmp_path):
    published = tmp_path / "published" / "customer_lifecycle.duckdb"
    done = publish(demo_warehouse, published)
    assert done.returncode == 0, done.stderr
    assert published.stat().st_mode & 0o077 == 0, "addresses are nobody else's business"
    assert checksums(published) == checksums(demo_warehouse)

    reader = duckdb.connect(str(published), read_only=True)
    people = reader.execute("select count(*) from marts.customers").fetchone()[0]
    published.chmod(0o640)
    spilled = changed.with_name(f"{changed.name}.tmp") / "duckdb_temp_1_0_storage_DEFAULT-0.tmp"
    spilled.parent.mkdir()
    spilled.touch()
    assert publish(changed, published).returncode == 0
    assert not spilled.parent.exists(), "a killed build's rows"
    assert reader.execute("select count(*) from marts.customers").fetchone()[0] == people
    reader.close()
    assert checksums(published) == checksums(changed)
    assert published.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in published.parent.iterdir() if path.name.startswith(".")] == [".publish.lock"]


def test_the_parquet_folder_holds_the_same_marts(demo_warehouse, changed, tmp_path):
    published, folder = tmp_path / "customer_lifecycle.duckdb", tmp_path / "marts"
    for number, warehouse in enumerate((demo_warehouse, changed, demo_warehouse)):
        done = publish(warehouse, published, "--parquet", folder)
        assert done.returncode == 0, done.stderr
        assert of_parquet(folder) == checksums(warehouse)
        assert all(path.stat().st_mode & 0o077 == 0 for path in (folder, *folder.iterdir()))
        kept = [path for path in tmp_path.glob(".marts.*") if path != folder.resolve()]
        assert [of_parquet(path) for path in kept] == ([checksums(changed if number == 2 else demo_warehouse)] if number else [])
    other = tmp_path / "mine"
    other.mkdir()
    done = publish(demo_warehouse, published, "--parquet", other)
    assert (done.returncode, "name another --parquet" in done.stderr) == (2, True)


def test_comments_are_published(demo_warehouse, tmp_path):
    copy, published = tmp_path / "commented.duckdb", tmp_path / "customer_lifecycle.duckdb"
    shutil.copy(demo_warehouse, copy)
    with duckdb.connect(str(copy)) as connection:
        connection.execute("comment on table marts.customers is 'One row per person.'")
        connection.execute("comment on column marts.customers.stage is 'The customer''s stage.'")
    assert publish(copy, published).returncode == 0
    with duckdb.connect(str(published), read_only=True) as connection:
        where = "where table_name = 'customers' and comment is not null"
        tables = connection.execute(f"select comment from duckdb_tables() {where}").fetchall()
        columns = dict(connection.execute(f"select column_name, comment from duckdb_columns() {where}").fetchall())
    assert (tables, columns["stage"]) == ([("One row per person.",)], "The customer's stage.")


def written_by_spark(warehouse, folder, *ends):
    """The marts of a warehouse as a build on Spark leaves them: Parquet folders, and a row per start and end of a build."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        for name in ("marts", "invocations"):
            (folder / "audit" / name).mkdir(parents=True)
        for table in checksums(warehouse):
            (folder / "tables" / "marts.db" / table).mkdir(parents=True)
            connection.execute(f"copy marts.{table} to '{folder}/tables/marts.db/{table}/part-0.parquet'")
        described = "select schema_name as marts_schema, table_name as mart, {} from {}() where schema_name = 'marts'"
        tables = described.format("null as column_name, coalesce(comment, 'a mart') as description", "duckdb_tables")
        columns = described.format("column_name, 'a column' as description", "duckdb_columns")
        connection.execute(f"copy ({tables} union all {columns}) to '{folder}/audit/marts/part-0.parquet'")
        for number, end in enumerate(ends):
            row = f"'one' as invocation_id, 'build' as command, timestamp '2026-07-01' as started_at, {end}::boolean as is_green, true as is_whole"
            connection.execute(f"copy (select {row}, 'marts' as marts_schema) to '{folder}/audit/invocations/part-{number}.parquet'")


def test_what_spark_wrote_is_published_once_its_build_has_ended_green(demo_warehouse, tmp_path):
    folder, published = tmp_path / "spark", tmp_path / "customer_lifecycle.duckdb"
    folder.mkdir()
    done = publish(folder, published)
    assert (done.returncode, "Spark has built no marts there" in done.stderr) == (3, True)
    for ends, code in ((("null",), 3), (("null", "false"), 3), (("null", "true"), 0)):
        shutil.rmtree(folder)
        written_by_spark(demo_warehouse, folder, *ends)
        done = script("publish.py", "--from", folder, "--published", published, "--parquet", tmp_path / "marts")
        assert (done.returncode, published.exists()) == (code, code == 0), done.stderr
    assert checksums(published) == of_parquet(tmp_path / "marts") == checksums(demo_warehouse)
    with duckdb.connect(str(published), read_only=True) as connection:
        comments = connection.execute("select distinct comment from duckdb_columns() where schema_name = 'marts'").fetchall()
    assert comments == [("a column",)]
    shutil.rmtree(folder / "tables" / "marts.db" / "customers")
    done = publish(folder, published)
    assert (done.returncode, "customers: the mart is not there" in done.stderr) == (3, True)


def test_a_reader_never_meets_a_build(tmp_path):
    """It reads old numbers through a build and a publish, and new ones when it opens the file again."""
    raw, warehouse, published = tmp_path / "raw", tmp_path / "lifecycle.duckdb", tmp_path / "customer_lifecycle.duckdb"
    raw.mkdir()
    customers = "select count(*) from marts.customers"

    def build(*lines):
        (raw / "orders.csv").write_text("\n".join(["customer_id,ordered_at,amount", *lines]) + "\n")
        dbt("build", "--exclude-resource-type", "unit_test", raw=raw, warehouse=warehouse, variables=SMALL)

    build("a,2024-01-01,1")
    assert publish(warehouse, published).returncode == 0
    with duckdb.connect(str(published), read_only=True) as reader:
        build("a,2024-01-01,1", "b,2024-02-01,2")
        assert reader.execute(customers).fetchone() == (1,)
        assert publish(warehouse, published).returncode == 0
        assert reader.execute(customers).fetchone() == (1,)
    with duckdb.connect(str(published), read_only=True) as reader:
        assert reader.execute(customers).fetchone() == (2,)


def test_a_killed_publish_leaves_the_old_file_or_the_new_one(demo_warehouse, changed, tmp_path):
    published, folder = tmp_path / "customer_lifecycle.duckdb", tmp_path / "marts"
    assert publish(demo_warehouse, published, "--parquet", folder).returncode == 0
    whole = {"old": checksums(demo_warehouse), "new": checksums(changed)}
    command = [sys.executable, PROJECT / "scripts" / "publish.py", "--published", published, "--parquet", folder]
    started = time.monotonic()
    subprocess.run([*command, "--warehouse", demo_warehouse], check=True, capture_output=True)
    usual, moments, killed = time.monotonic() - started, random.Random(20), 0
    for number in range(60):  # a run that ends before its moment does not count
        warehouse = demo_warehouse if number % 2 else changed
        with subprocess.Popen([*command, "--warehouse", warehouse], stdout=subprocess.DEVNULL) as running:
            try:
                running.wait(usual * moments.uniform(0.1, 1.0))
            except subprocess.TimeoutExpired:
                running.kill()
                killed += 1
        assert checksums(published) in whole.values(), number
        assert of_parquet(folder) in whole.values(), number
        if killed == 20:
            break
    assert killed == 20
    assert publish(changed, published, "--parquet", folder).returncode == 0
    assert checksums(published) == of_parquet(folder) == whole["new"]
    assert len(list(tmp_path.glob(".*"))) <= 3, "what killed runs left is removed: the lock and two folders stay"


def test_nothing_is_published_that_was_not_built_whole_and_green(demo_warehouse, tmp_path):
    copy, published = tmp_path / "red.duckdb", tmp_path / "customer_lifecycle.duckdb"
    later = "insert into audit.invocations values ('later', {}, timestamp '2999-01-01', {}, false, 'marts')"
    for sql, message in (
        (later.format("'build'", "false"), "did not end green"),
        (later.format("'test'", "null"), "did not end green"),
        (later.format("'run'", "true"), "does not test"),
        (later.format("'build --empty'", "true"), "does not test"),
        ("update audit.invocations set is_whole = false", "never been built as a whole"),
        ("drop table audit.invocations", "never been built"),
    ):
        shutil.copy(demo_warehouse, copy)
        with duckdb.connect(str(copy)) as connection:
            connection.execute(sql)
        done = publish(copy, published)
        assert (done.returncode, message in done.stderr) == (3, True), done.stderr
        assert not published.exists()
    shutil.copy(demo_warehouse, copy)
    with duckdb.connect(str(copy)) as connection:
        connection.execute(later.format("'build'", "true"))
    assert publish(copy, published).returncode == 0, "a green part after a green whole"
    done = publish(tmp_path / "none.duckdb", published)
    assert done.returncode == 2 and "run `dbt build`" in done.stderr
    assert publish(demo_warehouse, tmp_path / "marts.duckdb").returncode == 2


def test_dbt_records_what_it_built(tmp_path):
    """A part, or nothing at all (--empty), is no whole build, however green."""
    raw, warehouse = PROJECT / "tests" / "fixtures" / "orders", tmp_path / "lifecycle.duckdb"
    part = ("--select", "lifecycle_stages")
    build = ("build", "--indirect-selection", "cautious", *part)
    for options in (build, (*build, "--empty"), ("seed", *part)):
        dbt(*options, raw=raw, warehouse=warehouse, variables=SMALL)
    with duckdb.connect(str(warehouse)) as connection:
        recorded = connection.execute("select command, is_green, is_whole from audit.invocations order by rowid").fetchall()
    assert recorded == [("build", True, False), ("build --empty", True, False), ("seed", True, False)]
