"""scripts/publish_postgres.py against a real PostgreSQL: exact values and types, old or new but never a mix, private."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import date, datetime
from decimal import Decimal

import duckdb
import pytest
import yaml

from publish_postgres import AGGREGATES
from support import PROJECT

NASTY = ['O\'Brien, "Zoë" \\N', "two\nlines\r\n\\.\n", "\\.", "", "tab\there", "مرحبا 🎉", None]


@pytest.fixture
def sql(server):
    """A function that runs SQL as the owner, or another user, and returns the lines of the answer; each test starts empty."""

    def run(query, user="owner", check=True):
        command = ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", query]
        done = subprocess.run(command, env=os.environ | server | {"PGUSER": user}, capture_output=True, text=True)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.splitlines() if check else done.stderr

    run("drop schema if exists lifecycle cascade")
    return run


@pytest.fixture
def published(tmp_path):
    """A published file with two aggregated marts that belong together, and one about people."""
    path = tmp_path / "customer_lifecycle.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute("create schema marts; use marts")
        con.execute("create table stage_summary as select i as position, 1 as version from range(2000) r(i)")
        con.execute("create table rfm_grid as select i as r_score, 1 as version from range(2000) r(i)")
        con.execute("""create table customers (person_id varchar, email varchar, is_customer boolean, orders_count bigint,
            recency_days integer, net_revenue decimal(18, 4), share double, first_order_date date, entered_at timestamp)""")
        for number, text in enumerate(NASTY):
            con.execute(
                "insert into customers values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [f"p{number}", text, number % 2 == 0, 2**60 + number, -number, Decimal("12345678901234.5678"), 0.1 + 0.2,
                 date(1999, 12, 31), datetime(2026, 3, 29, 2, 30, 0, 123456)],
            )  # fmt: skip
        con.execute("insert into customers values ('nulls', null, null, null, null, null, 'nan', null, null)")
    return path


@pytest.fixture
def publish(server, published):
    """A function that runs the script and returns the finished process."""

    def run(*arguments, **environment):
        variables = os.environ | server | environment
        return subprocess.run(command(published, *arguments), env=variables, capture_output=True, text=True)

    return run


def command(published, *arguments):
    return [sys.executable, PROJECT / "scripts" / "publish_postgres.py", "--published", published, *arguments]


TWO = ("--mart", "stage_summary", "--mart", "rfm_grid")


def set_version(published, version):
    with duckdb.connect(str(published)) as con:
        con.execute(f"update marts.stage_summary set version = {version}")
        con.execute(f"update marts.rfm_grid set version = {version}")


def test_every_value_and_type_arrives(publish, sql, published):
    done = publish("--mart", "customers")
    assert (done.returncode, done.stderr) == (0, "")
    types = sql("""select column_name || ' ' || data_type || coalesce(numeric_precision || ',' || numeric_scale, '')
        from information_schema.columns where table_schema = 'lifecycle' order by ordinal_position""")
    assert types == [
        "person_id text", "email text", "is_customer boolean", "orders_count bigint64,0", "recency_days integer32,0",
        "net_revenue numeric18,4", "share double precision", "first_order_date date", "entered_at timestamp without time zone",
    ]  # fmt: skip
    lines = sql("""select json_build_array(person_id, email, is_customer, orders_count, recency_days, net_revenue::text,
        share::text, first_order_date, entered_at) from lifecycle.customers order by person_id""")
    with duckdb.connect(str(published), read_only=True) as con:
        sent = con.execute("select * from marts.customers order by person_id").fetchall()
    assert len(sent) == len(NASTY) + 1
    for row, there in zip(sent, map(json.loads, lines), strict=True):
        *plain, net_revenue, share, day, moment = row
        assert there[:5] == plain
        assert there[5] == (None if net_revenue is None else str(net_revenue))
        assert float(there[6]) == share or there[6] == "NaN" == str(share).replace("nan", "NaN")
        assert there[7:] == [day and day.isoformat(), moment and moment.isoformat()]


def test_tables_and_columns_have_the_descriptions_of_the_marts(publish, sql, server, published_demo, published):
    """Of the real marts, and with what a literal or psql could trip over; a changed or removed one arrives, too."""
    kinds = "select table_name, null, comment from duckdb_tables() union all select table_name, column_name, comment from duckdb_columns()"
    with duckdb.connect(str(published_demo), read_only=True) as con:
        described = {(table, column): comment for table, column, comment in con.execute(kinds).fetchall() if table in AGGREGATES}
    assert len(described) > 300 and all(described.values()), "every mart and column is described"
    done = publish("--published", str(published_demo))
    assert (done.returncode, done.stderr) == (0, "")
    there = """select json_build_array(relname, attname, case when attname is null then obj_description(c.oid) else
            col_description(c.oid, attnum) end)
        from pg_class c left join lateral (
            select attname, attnum from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped
            union all select null, null) columns on true
        where relnamespace = 'lifecycle'::regnamespace and relkind = 'r'"""

    def comments():
        return {(table, column): comment for table, column, comment in map(json.loads, sql(there))}

    assert comments() == {
        key: comment if key[1] else f"{comment}\ncustomer lifecycle mart" for key, comment in described.items()
    }
    nasty = "it's 100 % \\n :version\n\\. \"x\"; drop schema lifecycle cascade; -- 🎉"
    for column, table in ((nasty, nasty), ("plain", None)):
        with duckdb.connect(str(published)) as con:
            con.execute(f"comment on column marts.rfm_grid.version is '{column.replace(chr(39), chr(39) * 2)}'")
            con.execute("comment on table marts.rfm_grid is " + ("null" if table is None else f"'{table.replace(chr(39), chr(39) * 2)}'"))
        done = publish(*TWO)
        assert (done.returncode, done.stderr) == (0, "")
        found = comments()
        assert found["rfm_grid", "version"] == column and found["rfm_grid", "r_score"] is None
        assert found["rfm_grid", None] == ("" if table is None else f"{table}\n") + "customer lifecycle mart"
    assert publish("--mart", "rfm_grid:r_score").returncode == 0, "its own tables are known by their comment"
    assert [key for key in comments() if key[1]] == [("rfm_grid", "r_score")]


def test_people_and_columns_go_only_by_name(publish, sql):
    assert publish(*TWO, "--mart", "customers:person_id,net_revenue").returncode == 0
    assert sql("select attname from pg_attribute where attrelid = 'lifecycle.customers'::regclass and attnum > 0") == [
        "person_id",
        "net_revenue",
    ]
    assert publish(*TWO).returncode == 0
    assert sql("select table_name from information_schema.tables where table_schema = 'lifecycle' order by 1") == [
        "rfm_grid",
        "stage_summary",
    ]


def test_the_default_holds_no_mart_about_people():
    models = [model for path in (PROJECT / "models" / "marts").rglob("_*__models.yml") for model in
              yaml.safe_load(path.read_text())["models"]]  # fmt: skip
    columns = {model["name"]: {column["name"] for column in model["columns"]} for model in models}
    personal = {"person_id", "address", "address_hash", "email", "phone", "phone_e164", "order_id", "app_user_id"}
    assert sorted(mart for mart in columns if not columns[mart] & personal) == AGGREGATES


def test_nobody_else_may_read_until_granted_and_grants_and_views_survive(publish, sql, published):
    publish(*TWO)
    sql("drop role if exists bi")
    sql("create role bi login")
    assert "permission denied" in sql("select 1 from lifecycle.rfm_grid", user="bi", check=False)
    sql("grant usage on schema lifecycle to bi; grant select on all tables in schema lifecycle to bi")
    sql("create view public.total as select sum(version) from lifecycle.rfm_grid")
    set_version(published, 2)
    assert publish(*TWO).returncode == 0
    assert sql("select sum(version) from lifecycle.rfm_grid", user="bi") == ["4000"]
    assert sql("select * from public.total") == ["4000"]
    sql("drop view public.total; drop owned by bi; drop role bi")


def test_a_reader_sees_all_old_or_all_new(publish, sql, server, published):
    publish(*TWO)
    query = """select (select string_agg(distinct version::text, '') from lifecycle.stage_summary)
        || (select string_agg(distinct version::text, '') from lifecycle.rfm_grid)
        || (select count(*) from lifecycle.rfm_grid);"""
    seen, stop = [], threading.Event()
    reader = subprocess.Popen(["psql", "-XqAt"], env=os.environ | server, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)  # fmt: skip

    def read():
        while not stop.is_set():
            reader.stdin.write(query + "\n")
            reader.stdin.flush()
            seen.append(reader.stdout.readline().strip())

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    ends = []
    for version in range(2, 7):
        set_version(published, version)
        ends.append(publish(*TWO).returncode)
        time.sleep(0.1)
    stop.set()
    thread.join(timeout=60)
    reader.communicate(timeout=60)
    assert ends == [0] * 5
    assert list(dict.fromkeys(seen)) == [f"{version}{version}2000" for version in range(1, 7)]


def test_an_end_halfway_leaves_the_old(publish, sql, server, published):
    publish(*TWO)
    set_version(published, 2)
    with duckdb.connect(str(published)) as con:
        con.execute("insert into marts.rfm_grid select i, 2 from range(3000000) r(i)")
    process = subprocess.Popen(command(published, *TWO), env=os.environ | server)
    deadline = time.monotonic() + 60
    while not sql("select 1 from pg_stat_progress_copy") and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    while sql("select 1 from pg_stat_activity where query like 'copy%' and pid <> pg_backend_pid()"):
        time.sleep(0.1)
    assert sql("select count(*) || ' ' || max(version) from lifecycle.rfm_grid") == ["2000 1"]
    assert sql("select max(version) from lifecycle.stage_summary") == ["1"]


def test_what_postgresql_refuses_leaves_the_old_and_shows_no_data(publish, sql, published):
    assert publish("--mart", "stage_summary", "--mart", "customers").returncode == 0
    set_version(published, 2)
    with duckdb.connect(str(published)) as con:
        con.execute("update marts.customers set email = 'secret@example.com' || chr(0) where person_id = 'p1'")
    done = publish("--mart", "stage_summary", "--mart", "customers")
    assert done.returncode == 3
    assert "nothing was changed" in done.stderr
    assert "secret" not in done.stderr
    assert sql("select max(version) from lifecycle.stage_summary") == ["1"]


def test_changed_columns_make_a_new_table(publish, sql, published):
    publish(*TWO)
    with duckdb.connect(str(published)) as con:
        con.execute("alter table marts.rfm_grid add column segment varchar; update marts.rfm_grid set segment = 'x'")
    assert publish(*TWO).returncode == 0
    assert sql("select count(segment) from lifecycle.rfm_grid") == ["2000"]


def test_tables_of_others_are_never_touched(publish, sql):
    sql(
        "create schema lifecycle; create table lifecycle.mine as select 1 x; create table lifecycle.rfm_grid as select 7 x"
    )
    done = publish(*TWO)
    assert done.returncode == 3
    assert "lifecycle.rfm_grid was not made by this script" in done.stderr
    assert publish("--mart", "stage_summary").returncode == 0
    assert sql("select x from lifecycle.mine union all select x from lifecycle.rfm_grid") == ["1", "7"]


def test_mistakes_are_one_line(publish, sql, tmp_path):
    for arguments, environment, code, words in [
        (["--mart", "no_such"], {}, 2, "there is no mart no_such"),
        (["--mart", "rfm_grid:r_score,nothing"], {}, 2, "rfm_grid has no column nothing"),
        (["--published", str(tmp_path / "none.duckdb")], {}, 2, "there is no published file"),
        (TWO, {"PGHOST": str(tmp_path)}, 2, "nothing was changed"),
        (TWO, {"PATH": str(tmp_path)}, 2, "psql is not installed"),
    ]:
        done = publish(*arguments, **environment)
        assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
        assert words in done.stderr


def test_busy_tables_are_left_for_later(publish, sql, server, published):
    publish(*TWO)
    with duckdb.connect(str(published)) as con:
        con.execute("alter table marts.rfm_grid add column segment varchar")
    holder = subprocess.Popen(["psql", "-Xq"], env=os.environ | server, stdin=subprocess.PIPE, text=True)
    holder.stdin.write("begin; select 1 from lifecycle.rfm_grid limit 1 \\g /dev/null\n")
    holder.stdin.flush()
    while not sql("select 1 from pg_locks where relation = 'lifecycle.rfm_grid'::regclass and pid <> pg_backend_pid()"):
        time.sleep(0.05)
    done = publish(*TWO)
    holder.communicate("commit;\n")
    assert done.returncode == 75
    assert "try again later" in done.stderr
    assert publish(*TWO).returncode == 0
