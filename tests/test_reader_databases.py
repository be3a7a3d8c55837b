"""Raw tables of a database: another DuckDB file, a schema of the warehouse, PostgreSQL."""

import json
import os
import subprocess
import sys

import duckdb
import pytest

from common import Problem
from raw_checks import raw_files
from test_reader import SHOP, Read, write


@pytest.fixture
def loader(tmp_path):
    """A DuckDB file as a loader leaves it, with types of its own."""
    path = tmp_path / "it's loader.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            """create schema "shop raw"; create table "shop raw".Orders as select * from (values
            (1, 'a', 10.5::double, true), (2, ' ', null, false)) as t (Order_ID, customer_id, amount, is_new);
            create view "shop raw".customers_2026 as select 'a' as customer_id, [1] as email"""
        )
    return path


def read(folder, chosen, known, tables=SHOP, **options):
    folder.mkdir(exist_ok=True)
    return Read(folder, tables, databases=(chosen, known), **options)


def test_a_duckdb_file_is_copied_in_its_own_types(tmp_path, loader):
    got = read(tmp_path / "raw", {"shop": {"database": "loader", "schema": "shop raw"}}, {"loader": {"path": str(loader)}})
    assert got.rows("order_id, customer_id, amount, instance", "shop_orders", order=1) == [(1, "a", 10.5, None), (2, None, None, None)]
    assert got.rows("customer_id, email", "shop_customers", order=1) == [("a", [1])]
    assert got.query("select count(*) from raw_import.shop_order_lines") == [(0,)]
    assert got.query("select file_name, records from raw_import.files order by 1") == [
        ("loader.shop raw.Orders", 2),
        ("loader.shop raw.customers_2026", 1),
    ]
    with duckdb.connect(str(loader)) as connection:  # it is no longer attached, and what was copied stays
        connection.execute('drop table "shop raw".orders')
    assert got.query("select count(*) from raw_import.shop_orders") == [(2,)]


def test_a_loader_at_work_gets_one_sentence(tmp_path, loader):
    hold = f"import duckdb, sys; c = duckdb.connect({str(loader)!r}); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        got = read(tmp_path / "raw", {"shop": {"database": "loader", "schema": "shop raw"}}, {"loader": {"path": str(loader)}})
        holder.stdin.close()
    assert got.said[0] == f"loader.shop raw: another process writes {loader}; build when it has finished"


def test_a_schema_of_the_warehouse_itself(tmp_path):
    connection = duckdb.connect()
    connection.execute("create schema raw; create table raw.orders as select 7 as order_id")
    got = read(tmp_path / "raw", {"shop": {"schema": "raw"}}, {}, connection=connection)
    assert got.rows("order_id", "shop_orders") == [(7,)]
    assert connection.execute("from raw.orders").fetchall() == [(7,)]


def test_instances_of_databases_and_files(tmp_path, loader):
    write(tmp_path / "raw", {"shop/wien/orders.csv": "order_id,amount\n1,5\n"})
    chosen = {"shop/berlin": {"database": "loader", "schema": "shop raw"}}
    got = read(tmp_path / "raw", chosen, {"loader": {"path": str(loader)}})
    assert got.rows("order_id, amount, instance", "shop_orders", order="3, 1") == [
        ("1", "10.5", "berlin"),
        ("2", None, "berlin"),
        ("1", "5", "wien"),
    ]


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ({"shop": {"database": "lader", "schema": "s"}}, "lader.s: profiles.yml has no database 'lader'; found: loader; did you mean loader?"),
        ({"shop": {"database": "loader", "schema": "shop"}}, "loader.shop: there is no such schema; found: main, shop raw; did you mean shop raw?"),
        ({"shop": {"database": "loader", "schema": "main"}}, "source 'shop' needs a table orders; it is not there; nothing is there"),
        ({"shop": {"database": "gone", "schema": "main"}}, "gone.main: profiles.yml: there is no file /gone.duckdb"),
        ({"shop": {"database": "text", "schema": "main"}}, "cannot be attached; "),
        ({"shops": {"database": "loader", "schema": "shop raw"}}, "variable raw_databases: 'shops' is no source in use"),
    ],
)
def test_what_is_wrong_with_a_database_is_one_line(tmp_path, loader, chosen, says):
    write(tmp_path, {"text.duckdb": "not a database" * 1000, "raw/shop/orders.csv" if "shops" in chosen else "raw/x": "order_id\n1\n"})
    known = {name: {"path": f"{tmp_path}/{name}.duckdb"} for name in ("text",)} | {"loader": {"path": str(loader)}, "gone": {"path": "/gone.duckdb"}}
    got = read(tmp_path / "raw", chosen, {"loader": known.pop("loader")} if "lader" in str(chosen) else known)
    assert any(says in said for said in got.said), got.said


def test_files_beside_a_database_are_no_guess(tmp_path, loader):
    write(tmp_path / "raw", {"shop/orders.csv": "order_id\n1\n"})
    got = read(tmp_path / "raw", {"shop": {"database": "loader", "schema": "shop raw"}}, {"loader": {"path": str(loader)}})
    assert len(got.said) == 1 and "shop/orders.csv lies beside the source's database: give every shop a folder of its own" in got.said[0]


def test_the_raw_checks_know_what_profiles_yml_knows(monkeypatch, tmp_path):
    """Databases of the plugin, those that dbt attaches, and the warehouse; credentials may be environment variables."""
    (tmp_path / "profiles.yml").write_text(
        "customer_lifecycle:\n  target: d\n  outputs:\n    d:\n      path: w.duckdb\n      attach: [{path: a.duckdb, alias: a}]\n"
        "      plugins:\n        - module: raw_reader.dbt_plugin\n          config:\n"
        "            databases: {erp: {type: postgres, password: \"{{ env_var('ERP_PASSWORD') }}\"}}\n"
    )
    monkeypatch.setenv("DBT_PROFILES_DIR", str(tmp_path))
    monkeypatch.setenv("ERP_PASSWORD", "s")
    assert raw_files.databases() == {
        None: {"path": "w.duckdb"},
        "a": {"path": "a.duckdb", "alias": "a"},
        "erp": {"type": "postgres", "password": "s"},
    }
    monkeypatch.delenv("ERP_PASSWORD")
    with pytest.raises(Problem, match=r"profiles\.yml: the environment variable ERP_PASSWORD is not set"):
        raw_files.databases()


# --- PostgreSQL ------------------------------------------------------------------------------------------


@pytest.fixture
def erp(server, monkeypatch):
    """A schema with odd names and values, and the settings of profiles.yml; what they lack is in the environment."""
    script = """
        drop schema if exists "Shop Raw" cascade; create schema "Shop Raw"; set timezone to 'Europe/Berlin';
        create table "Shop Raw".orders (order_id bigint, "Customer_ID" text, amount numeric(20, 4), email jsonb, unused bytea);
        insert into "Shop Raw".orders values (1, E'O''Brien, "Zoë"\\n🎉', 1234567890123.4567, '{"a": 1}', 'x'), (2, '', null, null, null);
        create table "Shop Raw".customers (customer_id timestamptz, email timestamp);
        insert into "Shop Raw".customers values ('2026-07-01 12:00', '2026-07-01 12:00');
    """
    subprocess.run(["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-c", script], env=os.environ | server, check=True)
    monkeypatch.setenv("PGHOST", server["PGHOST"])
    return {"erp": {"type": "postgres", "user": server["PGUSER"], "dbname": server["PGDATABASE"]}}


def test_postgres_is_copied_exactly(tmp_path, erp):
    got = read(tmp_path / "raw", {"shop/berlin": {"database": "erp", "schema": "Shop Raw"}}, erp)
    assert got.rows("order_id, customer_id, amount, instance", "shop_orders", order=1) == [
        ("1", 'O\'Brien, "Zoë"\n🎉', "1234567890123.4567", "berlin"),
        ("2", None, None, "berlin"),
    ]
    assert got.rows("customer_id, email", "shop_customers") == [("2026-07-01 10:00:00+00", "2026-07-01 12:00:00")]
    assert got.query("select file_name, records from raw_import.files order by 1") == [
        ("erp.Shop Raw.customers", 1),
        ("erp.Shop Raw.orders", 2),
    ]


@pytest.mark.parametrize(
    ("schema", "change", "says"),
    [
        ("shop", {}, "erp.shop: there is no such schema, or nothing in it that this user may read"),
        ("Shop Raw", {"user": "nobody_knows"}, "erp.Shop Raw: psql says: "),
        ("Shop Raw", {"host": "/nowhere", "password": "secret"}, "erp.Shop Raw: psql says: "),
    ],
)
def test_what_is_wrong_with_postgres_is_one_line(tmp_path, erp, schema, change, says):
    got = read(tmp_path / "raw", {"shop": {"database": "erp", "schema": schema}}, {"erp": erp["erp"] | change})
    assert says in got.said[0] and "\n" not in got.said[0] and "secret" not in json.dumps(got.said)


def test_a_column_that_postgres_lacks_is_named(tmp_path, erp):
    tables = [SHOP[0] | {"columns": SHOP[0]["columns"] | {"day": {"name": "day", "data_type": "date", "config": {"meta": {"required": True}}}}}]
    (said,) = read(tmp_path / "raw", {"shop": {"database": "erp", "schema": "Shop Raw"}}, erp, tables).said
    assert said == "erp.Shop Raw.orders: required column 'day' is missing; found: order_id, Customer_ID, amount, email, unused"


def test_without_psql_one_line_says_so(tmp_path, erp, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    got = read(tmp_path / "raw", {"shop": {"database": "erp", "schema": "Shop Raw"}}, erp)
    assert got.said[0] == "erp.Shop Raw: psql is not installed (Debian: postgresql-client)"
