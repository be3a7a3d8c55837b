"""The gate before the warehouse: every raw fault is caught with its own message, and good data pass."""

import csv
import importlib.util
import io
import json
import os
import re
import socket
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout

import duckdb
import pytest

import validate_raw
from raw_checks import expectations, raw_files
from support import PROJECT, shared_data

AS_OF = "2026-06-30"
needs_gx = pytest.mark.skipif(
    importlib.util.find_spec("great_expectations") is None,
    reason="Great Expectations is not installed: make .venv/validate",
)


class Run:
    """One run of the gate in this process, which imports Great Expectations once."""

    def __init__(self, raw, folder, *flags, as_of=AS_OF):
        page, out, err = folder / "page.html", io.StringIO(), io.StringIO()
        flags = [
            "--raw",
            raw,
            "--state",
            folder / "state",
            "--html",
            page,
            *flags,
            *(["--as-of", as_of] if as_of else []),
        ]
        with redirect_stdout(out), redirect_stderr(err):
            self.code = validate_raw.main([str(flag) for flag in flags])
        self.said, self.page = out.getvalue() + err.getvalue(), page.read_text() if page.exists() else ""
        self.results = json.loads(out.getvalue())["results"] if "--json" in flags and self.code in (0, 1, 3) else []

    def found(self, *outcomes):
        return [result for result in self.results if result["outcome"] in outcomes]


def recorded(folder):
    return duckdb.execute(
        f"select distinct on (run_at) outcome from '{folder}/state/raw_checks/*.parquet' order by run_at"
    ).fetchall()


def rewrite(raw, table, select):
    """Replace a table by a query over {t}, its old rows."""
    path = raw / f"{table}.parquet"
    rows = f"select * from (select {select})" if " from " in select else f"select {select} from {{t}}"
    duckdb.execute(f"copy ({rows.format(t=quoted(path))}) to '{path}.new' (format parquet)")
    os.replace(f"{path}.new", path)


def quoted(path):
    return f"'{path}'"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "raw"
    script = PROJECT / "scripts" / "generate_demo_data.py"
    subprocess.run([sys.executable, script, "--as-of", AS_OF, "--out", folder], check=True, capture_output=True)
    return folder


@pytest.fixture
def copy(demo, tmp_path):
    """The demo's files under other names, to break some of them."""
    for path in demo.rglob("*.parquet"):
        target = tmp_path / "raw" / path.relative_to(demo)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path)
    (tmp_path / "raw" / ".demo_data").touch()
    return tmp_path / "raw"


@pytest.fixture(scope="module")
def clean(demo, tmp_path_factory):
    """A run over the clean demo, without a network."""
    folder = tmp_path_factory.mktemp("clean")

    def no_network(*_):
        raise AssertionError("the gate opens a connection")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", no_network)
        patch.setattr(socket, "getaddrinfo", no_network)
        run = Run(demo, folder, "--json")
    run.folder = folder
    return run


@needs_gx
def test_the_clean_demo_passes_without_noise(clean, demo):
    assert (clean.code, clean.found("stop", "warn", "not checked")) == (0, [])
    assert len(clean.found("passed")) > 150
    assert {result["table"] for result in clean.results} >= {"shop.orders", "app.events", "esp.suppressions"}
    again = Run(demo, clean.folder)
    assert again.code == 0, "a second run on the same data is like the first"
    assert re.fullmatch(r"Raw checks: \d+ passed, 0 warnings, 0 stops, 0 not checked; 15 tables as of .*\n", again.said)
    assert recorded(clean.folder) == [("passed",), ("passed",)]


FAULTS = {
    "a missing required column": ("shop/customers", "* exclude (created_at)"),
    "a renamed column": ("app/users", "* rename (created_at as creation_time)"),
    "a column half unparsable": (
        "shop/feedback",
        "* replace (if(hash(feedback_id) % 2 = 0, 'late', submitted_at::varchar) as submitted_at)",
    ),
    "an unknown status at 5 %": (
        "shop/orders",
        "* replace (if(row_number() over () % 20 = 0, 'awaiting_stock', status) as status)",
    ),
    "duplicate keys at 2 %": ("esp/contacts", "* from {t} union all (from {t} where hash(contact_id) % 50 = 0)"),
    "null keys": ("shop/referrals", "* replace (if(row_number() over () % 10 = 0, null, referral_id) as referral_id)"),
    "refunds of unknown orders, cents instead of units": (
        "shop/refunds",
        "* replace (if(row_number() over () % 10 = 0, 'X1', order_id) as order_id, amount * 100 as amount)",
    ),
    "rows fell by 60 %": ("esp/messages", "* from {t} where hash(message_id) % 5 < 2"),
    "3 days stale": (
        "app/events",
        "* replace (occurred_at - interval 3 day as occurred_at) from {t} where occurred_at < '2026-07-01'",
    ),
}
CAUGHT = {
    "a missing required column": ("stop", "shop.customers", "created_at", r"the required column is missing$"),
    "a renamed column": (
        "stop",
        "app.users",
        "created_at",
        r"is missing; the file has a new column 'creation_time': was",
    ),
    "a column half unparsable": (
        "stop",
        "shop.feedback",
        "submitted_at",
        r"values \((4|5)\d\.\d%\) cannot be read as timestamp, at most 2\.0% may be so; mostly: ",
    ),
    "an unknown status at 5 %": ("stop", "shop.orders", "status", r"values \(5\.\d%\) are none of the known ones"),
    "duplicate keys at 2 %": ("stop", "esp.contacts", None, r"% of the rows repeat the key contact_id \(\d+ rows"),
    "null keys": ("stop", "shop.referrals", "referral_id", r"^15 values \(9\.6%\) are missing, at most 1\.0% may be"),
    "refunds of unknown orders": ("stop", "shop.refunds", "order_id", r"^4\d values \(9\.\d%\) are not in shop\.orders"),
    "rows fell by 60 %": ("stop", "esp.messages", None, r"rows, -60% against 28,\d{3} on 20"),
    "cents instead of units": ("stop", "shop.refunds", "amount", r"is 100\.00 times the "),
    "3 days stale": ("stop", "app.events", "occurred_at", r"up to 2026-06-30 is of 2026-06-27.*older than 2 days"),
    "an empty file": ("stop", "esp.suppressions", None, r"suppressions\.csv: the file is empty"),
    "a truncated Parquet": ("stop", "esp.campaigns", None, r"campaigns\.parquet: cannot be read; is it cut off\?"),
}


@pytest.fixture(scope="module")
def broken(clean, demo, tmp_path_factory):
    """Every fault at once, each in a table of its own, after a run over the clean demo."""
    raw = tmp_path_factory.mktemp("broken") / "raw"
    for path in demo.rglob("*"):
        if path.is_file():
            (raw / path.relative_to(demo)).parent.mkdir(parents=True, exist_ok=True)
            (raw / path.relative_to(demo)).write_bytes(path.read_bytes())
    for table, select in FAULTS.values():
        rewrite(raw, table, select)
    (raw / "esp" / "suppressions.parquet").unlink()
    (raw / "esp" / "suppressions.csv").touch()
    campaigns = raw / "esp" / "campaigns.parquet"
    campaigns.write_bytes(campaigns.read_bytes()[:-200])
    run = Run(raw, clean.folder, "--json")
    run.raw = raw
    return run


@needs_gx
@pytest.mark.parametrize("fault", CAUGHT)
def test_a_fault_is_caught_with_its_own_message(broken, fault):
    outcome, table, column, message = CAUGHT[fault]
    (found,) = [r for r in broken.found(outcome) if (r["table"], r["column"]) == (table, column)]
    assert re.search(message, found["message"])
    assert found["what_to_do"] and found["reason"]


@needs_gx
def test_faults_stop_and_nothing_else_is_reported(broken, clean):
    assert broken.code == 3
    assert sorted((r["table"], r["column"]) for r in broken.found("stop")) == sorted(
        ((table, column) for _, table, column, _ in CAUGHT.values()), key=lambda pair: (pair[0], str(pair[1]))
    )
    (status,) = [r for r in broken.found("stop") if r["column"] == "status"]
    assert re.fullmatch(r"order_id \w+\d+", status["example"])
    assert Run(broken.raw, clean.folder, "--json").found("stop") == broken.found("stop"), "a stop is no new normal"
    assert recorded(clean.folder)[-1] == ("stopped",)


@needs_gx
def test_no_output_holds_personal_data(demo, copy, tmp_path):
    """Columns that slipped, a file without header, addresses as ids: none of it is shown."""
    path = copy / "shop" / "orders.parquet"
    path.unlink()
    duckdb.execute(
        "copy (select orders.* replace (orders.email as status, coalesce(orders.email, '+493023125000') as order_id, "
        f"first_name as currency) from '{demo}/shop/orders.parquet' as orders "
        f"left join '{demo}/shop/customers.parquet' using (customer_id)) to '{path}'"
    )
    (copy / "app" / "users.parquet").unlink()
    (copy / "app" / "users.csv").write_text(
        "anna.mueller@example.com,Anna,+493023125000\nb@example.com,Bea,+493023125001\n"
    )
    for flags in ((), ("--json",)):
        run = Run(copy, tmp_path, "--sources", "shop,app", *flags)
        assert run.code == 3
        names = [
            row[0]
            for row in duckdb.execute(f"select distinct first_name from '{demo}/shop/customers.parquet'").fetchall()
        ]
        for text in (run.said, run.page):
            assert "@" not in text and "+49" not in text and "Anna" not in text
            assert not [name for name in names if name and re.search(rf"\b{name}\b", text)]
    assert "does the file have a header line?" in run.said


@needs_gx
def test_the_page_needs_nothing_from_outside(broken):
    assert "is missing; the file has a new column" in broken.page
    assert not re.search(r"https?:|<script|<link|src=|@import|url\(", broken.page)


@needs_gx
def test_warnings_do_not_stop(copy, tmp_path):
    rewrite_copy = copy / "app" / "events.parquet"
    rows = rewrite_copy.resolve()
    rewrite_copy.unlink()
    duckdb.execute(
        f"copy (select * replace (if(platform = 'web', 'tv', platform) as platform) from '{rows}') to '{rewrite_copy}'"
    )
    run = Run(copy, tmp_path, "--sources", "app")
    assert run.code == 1
    assert re.search(
        r"WARN  app.events.platform +21,\d+ values \(19\.\d%\) are none of the known ones.*such as event_id", run.said
    )
    assert "-> look an example up" in run.said and "1 warnings, 0 stops" in run.said
    assert recorded(tmp_path) == [("warnings",)]


@needs_gx
def test_a_damaged_page_inside_a_parquet_is_found(copy, tmp_path):
    path = copy / "shop" / "orders.parquet"
    content = bytearray(path.read_bytes())
    path.unlink()
    content[2000:60000] = bytes(58000)
    path.write_bytes(content)
    run = Run(copy, tmp_path, "--sources", "shop", "--json")
    (stop,) = run.found("stop")
    assert (run.code, stop["table"]) == (3, "shop.orders")
    assert "cannot be read to its end" in stop["message"]
    assert not [r for r in run.found("passed") if r["what"] == "values refer" and r["table"] == "shop.refunds"]


@needs_gx
def test_old_data_only_warn_when_nobody_set_the_day(demo, tmp_path):
    run = Run(demo, tmp_path, "--sources", "app", "--json", as_of=None)
    assert run.code == 1
    assert [(r["table"], r["column"]) for r in run.found("warn")] == [("app.events", "occurred_at")]


@needs_gx
def test_a_new_normal_can_be_accepted(tmp_path):
    (tmp_path / "raw").mkdir()
    file = tmp_path / "raw" / "orders.csv"

    def run(count, amount, *flags):
        rows = "".join(f"c{n},2026-06-30,{amount}\n" for n in range(count))
        file.write_text("customer_id,ordered_at,amount\n" + rows)
        return Run(tmp_path / "raw", tmp_path, "--sources", "orders_file", "--json", *flags)

    assert run(100, 5).code == 0
    fell = run(40, 500)
    assert [r["message"][:30] for r in fell.found("stop")] == [
        "40 rows, -60% against 100 on 2",
        "the mean 500.00 is 100.00 time",
    ]
    assert run(40, 500, "--accept").code == 0
    assert run(41, 500).code == 0
    assert recorded(tmp_path) == [("passed",), ("stopped",), ("accepted",), ("passed",)]


@needs_gx
def test_lines_that_cannot_be_read_warn_and_many_stop(tmp_path):
    """Counted from the bytes: of a quote that is never closed as of any other line; equal parts warn, too."""
    header, good = "customer_id,ordered_at,amount\n", "".join(f"c{n},2026-06-30,5\n" for n in range(400))
    (tmp_path / "raw").mkdir()

    def run(*parts):
        for number, part in enumerate(parts):
            (tmp_path / "raw" / f"orders_{number}.csv").write_text(header + part)
        return Run(tmp_path / "raw", tmp_path, "--sources", "orders_file", "--json")

    few = run(good + 'x,"2026-06-30,5\n')
    assert few.code == 1
    assert few.found("warn")[0]["message"].endswith("1 of 401 lines cannot be read; the first is line 402 (a quote that is never closed)")
    many = run(good + "x,2026-06-30\n" * 5)
    assert many.code == 3
    assert many.found("stop")[0]["message"].endswith("5 of 405 lines cannot be read, more than 1 %; the first is line 402 (missing columns)")
    equal = run(good, good)
    assert [r["message"].split(": ")[1] for r in equal.found("warn") if r["what"] == "file"] == [
        "the same rows are in orders_1.csv; if they are the same purchases, keep one file"
    ]


def test_tables_of_a_database_are_opened_like_files(tmp_path, monkeypatch):
    with duckdb.connect(str(tmp_path / "loader.duckdb")) as loader:
        loader.execute("create schema s; create table s.orders as select 'a' as customer_id, date '2026-06-30' as ordered_at, 5 as amount")
    connection = duckdb.connect()
    monkeypatch.setattr(raw_files, "databases", lambda: {"loader": {"path": str(tmp_path / "loader.duckdb")}})
    tables = raw_files.declared(PROJECT, ["orders_file"])

    def query(sql, parameters=None):
        connection.execute(sql, parameters)
        return connection.fetchall() if connection.description else []

    columns, found = raw_files.open_tables(query, tmp_path / "raw", tables, {"orders_file": {"database": "loader", "schema": "s"}})
    assert found.faults == []
    assert columns["orders_file.orders"]["ordered_at"] == "DATE"
    assert query("select amount from raw_import.orders_file_orders") == [(5,)]


@needs_gx
def test_cdnow_passes(tmp_path):
    source = shared_data("cdnow_sample") / "cdnow_sample_transactions.csv"
    (tmp_path / "raw").mkdir()
    with source.open(newline="") as rows, (tmp_path / "raw" / "orders.csv").open("w", newline="") as orders:
        writer = csv.writer(orders)
        writer.writerow(["customer_id", "ordered_at", "amount"])
        writer.writerows([row["customer_id"], row["order_date"], row["usd"]] for row in csv.DictReader(rows))
    run = Run(tmp_path / "raw", tmp_path, "--sources", "orders_file", "--json", as_of="1998-06-30")
    assert (run.code, run.found("stop", "warn")) == (0, [])


@needs_gx
def test_online_retail_passes(tmp_path):
    source = shared_data("online_retail_2011") / "online_retail_2010_2011.csv.gz"
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "online_retail.csv.gz").symlink_to(source)
    run = Run(tmp_path / "raw", tmp_path, "--sources", "online_retail", "--json", as_of="2011-12-09")
    assert (run.code, run.found("stop", "warn")) == (0, [])


def test_without_great_expectations_one_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(validate_raw.importlib.util, "find_spec", lambda _: None)
    run = Run(tmp_path, tmp_path)
    assert run.code == 1
    assert (
        run.said
        == "Raw checks: not run, Great Expectations is not installed; `make validate` installs it and runs them\n"
    )
    assert recorded(tmp_path) == [("not installed",)]


def test_a_skip_is_recorded(tmp_path):
    run = Run(tmp_path, tmp_path, "--skip-validate")
    assert (run.code, recorded(tmp_path)) == (0, [("skipped",)])
    assert "skipped on purpose" in run.said


@needs_gx
@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--sources", "shops"], 2, "unknown source 'shops'; known: app, canonical, esp, klaviyo, mailchimp, online_retail, orders_file, segment, shop, shopify"),
        (["--as-of", "30.06.2026"], 2, "'30.06.2026' is not a date; write it as YYYY-MM-DD"),
        ([], 3, "no raw data in"),
    ],
)
def test_wrong_usage_says_so(tmp_path, flags, code, message):
    (tmp_path / "raw").mkdir()
    run = Run(tmp_path / "raw", tmp_path, *flags, as_of=None)
    assert run.code == code
    assert message in run.said and run.said.count("\n") == 1


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{what: is new, table: orders, severity: stop, reason: r}", "`what` must be one of: required columns"),
        ("{what: has rows, table: order, severity: stop, reason: r}", "no table 'order'; there are orders"),
        ("{what: has rows, table: orders, severity: stop}", "a severity (stop or warn) and a reason are needed"),
        ("{what: is fresh, column: date, table: orders, severity: stop, reason: r, days: 1}", "no column 'date'"),
        ("{what: is fresh, colum: date, table: orders, severity: stop, reason: r}", "unknown word 'colum'"),
    ],
)
def test_a_suite_that_cannot_be_understood_says_so(tmp_path, monkeypatch, entry, message):
    suite = tmp_path / "models/staging/orders_file/_orders_file__expectations.yml"
    suite.parent.mkdir(parents=True)
    suite.write_text(f"- {entry}\n")
    tables = raw_files.declared(PROJECT, ["orders_file"])
    monkeypatch.setattr(expectations, "PROJECT", tmp_path)
    with pytest.raises(validate_raw.Problem, match=re.escape(message)):
        expectations.load_checks(tables, {})


@pytest.mark.parametrize(("code", "goes_on"), [(0, True), (1, True), (3, False), (2, False), (70, False)])
def test_make_build_goes_on_after_warnings_and_ends_at_a_stop(tmp_path, code, goes_on):
    (tmp_path / "python").write_text(f'#!/bin/sh\necho "$@"\ncase "$1" in *validate_raw.py) exit {code};; esac\n')
    (tmp_path / "dbt").write_text("#!/bin/sh\necho dbt runs\n")
    for name in ("python", "dbt"):
        (tmp_path / name).chmod(0o755)
    command = ["make", "-o", ".venv/core", "build", f"BIN={tmp_path}", "SKIP_VALIDATE=1"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert ("dbt runs" in done.stdout, done.returncode == 0) == (goes_on, goes_on)
    assert "validate_raw.py --skip-validate" in done.stdout
