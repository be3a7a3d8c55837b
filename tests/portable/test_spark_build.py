"""The whole project built on Apache Spark and on DuckDB from the same raw data: every mart and every exported file is the same."""

import csv
import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import zip_longest
from pathlib import Path

import duckdb
import pytest
import yaml

from support import DEMO, NO_UNIT_TESTS, PROJECT, dbt, script, shared_data

pytest.importorskip("dbt.adapters.spark", reason="dbt-spark is not installed: `make test-spark` does it")
pytest.importorskip("pyspark", reason="pyspark is not installed: `make test-spark` does it")
if not shutil.which("java"):
    pytest.skip("Spark needs Java 17, which is not here", allow_module_level=True)
if not (os.environ.get("TEST_SPARK") or os.environ.get("TEST_LONG")):
    pytest.skip("whole builds on Spark take minutes: `make test-spark` runs them", allow_module_level=True)
LONG = pytest.mark.skipif(not os.environ.get("TEST_LONG"), reason="minutes more: `make test-long` runs it")

# small data: one core, no partitions, and what would be compiled once is not worth it
SMALL = {
    "LIFECYCLE_SPARK_MASTER": "local[1]",
    "LIFECYCLE_SPARK_PARTITIONS": "1",
    "LIFECYCLE_SPARK_CODEGEN": "false",
    "LIFECYCLE_SPARK_JAVA": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}


def columns_of(connection, relation):
    return {name: kind for name, kind, *_ in connection.execute(f"describe {relation}").fetchall()}


def rows_of(connection, relation, columns):
    """The rows in one order, whatever the last digit of a double."""
    names = [f'"{name}"' for name in sorted(columns, key=lambda name: (columns[name] == "DOUBLE", name))]
    return connection.execute(f"select {', '.join(names)} from {relation} order by all nulls first").fetchall()


def is_same(one, other):
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-12) or one == other or (math.isnan(one) and math.isnan(other))
    return type(one) is type(other) and one == other


def differences(one, other):
    """(marts compared, rows compared, what differs) of two published files; never a value, which may be somebody's."""
    with duckdb.connect() as connection:
        for name, path in (("one", one), ("other", other)):
            connection.execute(f"attach '{path}' as {name} (read_only)")
        tables = {}
        for name in ("one", "other"):
            found = connection.execute(f"select table_name from duckdb_tables() where database_name = '{name}' and schema_name = 'marts'")
            tables[name] = {table for (table,) in found.fetchall()}
        found = [f"{table} is in one of them only" for table in sorted(tables["one"] ^ tables["other"])]
        compared = 0
        for table in sorted(tables["one"] & tables["other"]):
            columns = columns_of(connection, f"one.marts.{table}")
            theirs = columns_of(connection, f"other.marts.{table}")
            found += [f"{table}.{name} is {columns.get(name)} and {theirs.get(name)}" for name in columns | theirs if columns.get(name) != theirs.get(name)]
            if columns.keys() != theirs.keys():
                continue
            pairs = [*zip_longest(*(rows_of(connection, f"{name}.marts.{table}", columns) for name in ("one", "other")))]
            compared += len(pairs)
            names = sorted(columns, key=lambda name: (columns[name] == "DOUBLE", name))
            wrong = {
                name: sum(mine is None or their is None or not is_same(mine[n], their[n]) for mine, their in pairs)
                for n, name in enumerate(names)
            }
            found += [f"{table}.{name}: {rows} of {len(pairs)} rows" for name, rows in wrong.items() if rows]
    return len(tables["one"] & tables["other"]), compared, found


def build_on_spark(folder, *arguments, raw, state, variables, ends_with=0, **environment):
    done = script(
        "spark_build.py", "--folder", folder, "--vars", json.dumps(variables), "--", *arguments,
        LIFECYCLE_RAW=raw, LIFECYCLE_STATE=state, DBT_TARGET_PATH=f"{folder}.target", DBT_LOG_PATH=f"{folder}.logs", **SMALL | environment,
    )  # fmt: skip
    assert done.returncode == ends_with, done.stdout[-4000:] + done.stderr[-2000:]
    return done


def publish(source, to):
    done = script("publish.py", "--from", source, "--published", to, "--parquet", to.with_suffix(".marts"))
    assert done.returncode == 0, done.stderr


def raw_of(case, folder, state, request):
    """(raw folder, variables) of a case, or a skip."""
    if case == "demo":
        made = script("generate_demo_data.py", "--customers", "300", "--as-of", DEMO["as_of_date"], "--out", folder / "raw", "--state", state)
        assert made.returncode == 0, made.stderr
        return folder / "raw", DEMO
    if case == "CDNOW":
        variables = {"sources": ["orders_file"], "as_of_date": "1998-06-30", "business_time_zone": "UTC", "reporting_currency": "USD"}
        return request.getfixturevalue("cdnow_raw"), variables
    (folder / "raw").mkdir()
    for name, layout in {"shopify": "shopify_fivetran", "segment": "segment", "mailchimp": "mailchimp_csv"}.items():
        (folder / "raw" / name).symlink_to(shared_data("sources") / layout)
    return folder / "raw", DEMO | {"sources": ["shopify", "segment", "mailchimp"], "as_of_date": "2026-10-31"}


def erase_somebody(folder, warehouse, state):
    """Erase one customer with an account, after a build; returns what names them: addresses, and ids."""
    publish(warehouse, folder / "before.duckdb")
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        email, phone, *ids = connection.execute(
            "select email, phone, primary_customer_id, app_user_id from marts.customers where is_repeat_customer and app_user_id is not null "
            "and phone is not null and can_email order by person_id limit 1"
        ).fetchone()
    places = ("--warehouse", warehouse, "--published", folder / "before.duckdb", "--state", state, "--out", folder / "exports")
    done = script("erase.py", "--id", f"shop:customer:{ids[0]}", *places)
    assert done.returncode == 0, done.stderr
    return [email, phone.lstrip("+")], ids


@dataclass
class Builds:
    """Both engines' builds of a case. `erased` are addresses and ids of who was erased before them."""

    case: str
    folder: Path
    state: Path
    as_of: date
    erased: tuple

    @property
    def files(self):
        return {engine: self.folder / f"by_{engine}.duckdb" for engine in ("duckdb", "spark")}


@pytest.fixture(scope="module", params=["demo", *(pytest.param(case, marks=LONG) for case in ("CDNOW", "adapters"))])
def published(request, tmp_path_factory):
    """A demo of 300 customers, one of them erased; real orders; and the layouts of Shopify, Segment and Mailchimp."""
    folder = tmp_path_factory.mktemp("engines")
    warehouse = folder / "lifecycle.duckdb"
    state, erased = warehouse.with_suffix(".state"), ([], [])
    raw, variables = raw_of(request.param, folder, state, request)
    dbt("build", *NO_UNIT_TESTS, raw=raw, warehouse=warehouse, variables=variables)
    if request.param == "demo":
        erased = erase_somebody(folder, warehouse, state)
        dbt("build", *NO_UNIT_TESTS, raw=raw, warehouse=warehouse, variables=variables)
    build_on_spark(folder / "spark", *NO_UNIT_TESTS, raw=raw, state=state, variables=variables)
    builds = Builds(request.param, folder, state, date.fromisoformat(variables["as_of_date"]), erased)
    for engine, source in (("duckdb", warehouse), ("spark", folder / "spark")):
        publish(source, builds.files[engine])
    return builds


def test_every_mart_is_the_same(published):
    marts, rows, found = differences(*published.files.values())
    print(f"{published.case}: {marts} marts of {rows:,} rows compared")
    assert not found, "\n".join(["", *found])
    assert marts > 40 and rows > 10_000


def test_what_is_published_is_described_alike_and_in_parquet_too(published):
    comments = {}
    for engine, path in published.files.items():
        with duckdb.connect(str(path), read_only=True) as connection:
            query = "select table_name, null, comment from duckdb_tables() union all select table_name, column_name, comment from duckdb_columns() where schema_name = 'marts'"
            comments[engine] = set(connection.execute(query).fetchall())
        assert {row[0] for row in comments[engine]} == {file.stem for file in path.with_suffix(".marts").glob("*.parquet")}
    assert comments["spark"] == comments["duckdb"]
    assert all(comment for *_, comment in comments["spark"])


def test_every_exported_file_is_the_same(published, tmp_path):
    written, now = {}, f"{published.as_of + timedelta(days=1)}T06:00:00+00:00"
    for engine, path in published.files.items():
        own, out = tmp_path / f"state_of_{engine}", tmp_path / engine
        shutil.copytree(published.state, own)
        done = script("export_audiences.py", "run", "--from", path, "--out", out, "--now", now, LIFECYCLE_STATE=own)
        assert done.returncode in (0, 5), done.stdout + done.stderr
        found = [file for file in out.rglob("*") if file.is_file() and file.name != "manifest.json"]
        written[engine] = {file.relative_to(out): file.read_bytes() for file in found}
    print(f"{published.case}: {len(written['spark'])} exported files compared")
    assert len(written["spark"]) > (15 if published.case == "demo" else 0)
    assert written["spark"].keys() == written["duckdb"].keys()
    assert [name for name, content in written["spark"].items() if content != written["duckdb"][name]] == []


def test_the_report_is_the_same(published, tmp_path):
    pages = []
    for engine, path in published.files.items():
        done = script("report.py", "--from", path, "--out", tmp_path / f"{engine}.html")
        assert done.returncode == 0, done.stderr
        pages.append((tmp_path / f"{engine}.html").read_text())
    assert pages[0] == pages[1]


def test_nothing_that_spark_was_given_or_made_names_who_was_erased(published):
    addresses, ids = published.erased
    if not addresses:
        pytest.skip(f"nobody was erased in the case {published.case}")
    read = 0
    with duckdb.connect() as connection:
        for path in (published.folder / "spark").rglob("*.parquet"):
            named = " or ".join(f"contains(lower(cast(row as varchar)), '{address.lower()}')" for address in addresses)
            texts = [name for name, kind in columns_of(connection, f"'{path}'").items() if kind == "VARCHAR"]
            named += "".join(f" or \"{name}\" in {tuple(ids)}" for name in texts)
            ((rows, wrong),) = connection.execute(f"select count(*), count(*) filter (where {named}) from '{path}' as row").fetchall()
            assert not wrong, f"{path.relative_to(published.folder)}: {wrong} rows"
            read += rows
        assert read > 10_000
        found = connection.execute(f"select count(*) from '{published.folder}/spark/raw/erased_rows.parquet' where person_id is not null")
        assert found.fetchone()[0] > 2, "nobody was erased"


# one value of each type that can be read, and what no typed column can be
READABLE = {"bigint": "1", "decimal(18, 4)": "1.5", "timestamp": "2024-01-02 03:04:05", "date": "2024-01-02", "boolean": "true"}
TEXTS = {"currency": "EUR", "interval": "month", "email": "somebody@example.com"}  # others are the name and a number
UNREADABLE = "neither nor"


def plant(folder, sources):
    """Raw files in which each typed column has one value that cannot be read; returns {(source, table, column): is it lenient}."""
    planted = {}
    for table in declared(sources):
        columns = table["columns"]
        typed = [name for name, column in columns.items() if column["data_type"] != "string"]
        file = folder / f"{meta(table)['path']}.csv"
        if "dialect" in meta(table):  # a shop has one layout, so there is one shop for each
            file = file.parent / meta(table)["dialect"].split()[-1].lower() / file.name
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w", newline="") as opened:
            writer = csv.writer(opened)
            writer.writerow(columns)
            for number, wrong in enumerate([None, *typed]):
                writer.writerow(
                    UNREADABLE if name == wrong
                    else READABLE.get(column["data_type"]) or TEXTS.get(name, f"{name}{number}")
                    for name, column in columns.items()
                )  # fmt: skip
        planted |= {(table["source"], table["name"], name): bool(meta(columns[name]).get("lenient")) for name in typed}
    return planted


def meta(node):
    return node.get("config", {}).get("meta", {})


def declared(sources):
    for path in sorted((PROJECT / "models/staging").glob("*/_*__sources.yml")):
        for source in yaml.safe_load(path.read_text())["sources"]:
            for table in source["tables"] if source["name"] in sources else ():
                yield table | {"source": source["name"], "columns": {column["name"]: column for column in table["columns"]}}


@pytest.mark.parametrize(
    "sources",
    [
        pytest.param(("shop", "app", "esp", "orders_file"), id="canonical"),
        pytest.param(("shopify", "segment", "mailchimp", "klaviyo", "online_retail"), id="adapters", marks=LONG),
    ],
)
def test_what_cannot_be_read_is_rejected_and_never_a_silent_null(sources, tmp_path):
    """A column that is lenient (such as when a row was written) may be unknown in a row that is taken, with a remark."""
    planted = plant(tmp_path / "raw", sources)
    variables = DEMO | {"sources": list(sources)}
    warehouse = tmp_path / "lifecycle.duckdb"
    bases = [f"base_{source}__{table}" for source, table in {(source, table) for source, table, _ in planted}]
    chosen = ("-s", *(f"+{base}" for base in bases), "--exclude-resource-type", "test", "unit_test")
    dbt("build", *chosen, raw=tmp_path / "raw", warehouse=warehouse, variables=variables)
    build_on_spark(tmp_path / "spark", *chosen, raw=tmp_path / "raw", state=warehouse.with_suffix(".state"), variables=variables)
    columns = "row_status, row_key, reject_reason, row_remark, raw_row"
    found = {}
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        for engine, place in (("duckdb", "staging.{}"), ("spark", f"'{tmp_path}/spark/tables/staging.db/{{}}/*.parquet'")):
            queries = {base: f"select {columns} from {place.format(base)}" for base in bases}
            found[engine] = {(base, *row) for base, query in queries.items() for row in connection.execute(query).fetchall()}
    assert found["spark"] == found["duckdb"]
    # what is said of a row begins with the column's name
    rejected = {(base, reason.split(":")[0]) for base, _, _, reason, *_ in found["spark"] if reason}
    remarked = {(base, remark.split(":")[0]) for base, _, _, _, remark, _ in found["spark"] if remark}
    silent = [
        (source, table, name)
        for (source, table, name), is_lenient in planted.items()
        if (f"base_{source}__{table}", name) not in (remarked if is_lenient else rejected)
    ]
    print(f"{len(planted)} typed columns with a value that cannot be read, {sum(planted.values())} of them lenient")
    assert len(planted) > 40
    assert not silent, f"silent: {sorted(silent)}"


# tables as a lake has them: instants and wall clocks, more columns than are read; and a schema whose orders lack a column
CATALOGUE = """
    create schema shop_raw;
    create table shop_raw.customers using parquet as select * from values
        (7, 'Ann@Example.com', timestamp_ltz '2024-01-02 23:30:00+00:00', named_struct('a', 1)), (8, null, timestamp_ltz '2024-01-03 10:00:00+00:00', null)
        as t (customer_id, email, created_at, more);
    create table shop_raw.orders using parquet as select * from values
        (1, 7, 'paid', timestamp_ltz '2024-03-30 23:30:00+00:00', 'EUR', cast(10.5 as decimal(10, 2)), cast(0 as decimal(10, 2)), date '2024-03-31'),
        (2, 8, 'paid', timestamp_ltz '2024-04-01 10:00:00+00:00', 'EUR', cast(3 as decimal(10, 2)), cast(1 as decimal(10, 2)), null)
        as t (order_id, customer_id, status, ordered_at, currency, gross_amount, discount_amount, paid_on);
    create schema shop_bad;
    create table shop_bad.customers using parquet as select * from shop_raw.customers;
    create table shop_bad.orders using parquet as select order_id, customer_id, status, currency, gross_amount from shop_raw.orders
"""
RUN_SQL = """
import sys
from pyspark.sql import SparkSession
builder = SparkSession.builder.master("local[1]").enableHiveSupport()
for pair in sys.argv[1:]:
    builder = builder.config(*pair.split("=", 1))
session = builder.getOrCreate()
for statement in sys.stdin.read().split(";"):
    session.sql(statement)
"""


def test_tables_of_sparks_catalogue_are_read_with_every_check(tmp_path):
    folder, java = tmp_path / "spark", f"{SMALL['LIFECYCLE_SPARK_JAVA']} -Dderby.system.home={tmp_path}"
    settings = {
        "spark.sql.warehouse.dir": folder / "tables", "spark.driver.extraJavaOptions": java, "spark.sql.session.timeZone": "UTC",
        "spark.ui.enabled": "false", "spark.driver.host": "localhost", "spark.log.level": "OFF",
    }  # fmt: skip
    command = [sys.executable, "-c", RUN_SQL, *(f"{name}={value}" for name, value in settings.items())]
    made = subprocess.run(command, input=CATALOGUE, text=True, capture_output=True, cwd=tmp_path)
    assert made.returncode == 0, made.stderr[-2000:]
    chosen = ("-s", "+base_shop__customers", "+base_shop__orders", "+base_shop__refunds", "--exclude-resource-type", "test", "unit_test")
    place = {"raw": tmp_path / "none", "state": tmp_path / "state", "LIFECYCLE_SPARK_CATALOGUE": "hive", "LIFECYCLE_SPARK_JAVA": java}

    def read_from(schema, **options):
        variables = DEMO | {"sources": ["shop"], "raw_databases": {"shop": {"database": "catalogue", "schema": schema}}}
        return build_on_spark(folder, *chosen, variables=variables, **place, **options)

    done = read_from("shop_bad", ends_with=1)
    found = "order_id, customer_id, status, currency, gross_amount"
    assert f"catalogue.shop_bad.orders: required column 'ordered_at' is missing; found: {found}" in done.stdout
    read_from("shop_raw")
    assert not list(folder.glob("catalogue*")), "the copy is gone after the import"
    with duckdb.connect() as connection:
        customers, orders, refunds = (
            connection.execute(f"select {columns} from '{folder}/tables/staging.db/base_shop__{table}/*.parquet' order by all").fetchall()
            for table, columns in (
                ("customers", "row_status, customer_id, lower(email), cast(created_at as varchar)"),
                ("orders", "row_status, order_id, customer_id, cast(ordered_at as varchar), cast(gross_amount as varchar)"),
                ("refunds", "*"),
            )
        )  # fmt: skip
    # in Berlin, where the clocks were put forward on 31 March 2024
    assert customers == [("staged", "7", "ann@example.com", "2024-01-03 00:30:00"), ("staged", "8", None, "2024-01-03 11:00:00")]
    assert orders == [("staged", "1", "7", "2024-03-31 00:30:00", "10.5000"), ("staged", "2", "8", "2024-04-01 12:00:00", "3.0000")]
    assert refunds == []
