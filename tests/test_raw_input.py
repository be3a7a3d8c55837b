"""Raw input as it really comes: what can be read is read without loss, the rest is said in one line."""

import gzip
import os
import time
from datetime import datetime
from decimal import Decimal

import duckdb
import pytest

from support import PROJECT, Warehouse, checksums, dbt, script, write

ORDERS_FILE = {
    "sources": ["orders_file"],
    "as_of_date": "2024-06-30",
    "business_time_zone": "America/New_York",
    "reporting_currency": "USD",
}
HEADER = "customer_id,ordered_at,amount\n"
NO_TIME = (
    "ordered_at: not a time that can be read (2026-11-10, 2026-11-10 09:50:26, 2026-11-10T09:50:26Z, "
    "2026-11-10 09:50:26 +01:00, 2026-11-10 9:50 PM, 20261110, seconds since 1970); "
    "declare source_settings.orders_file.time_format if it has another"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """One warehouse for the whole module: with the same path and variables dbt need not parse anew."""
    path = tmp_path_factory.mktemp("raw_input") / "lifecycle.duckdb"
    dbt("seed", raw=PROJECT / "tests" / "fixtures" / "orders", warehouse=path, variables=ORDERS_FILE)
    return path


@pytest.fixture
def read(place, tmp_path):
    """Write the files into a raw folder, run the selected models (or build and test all), and return the warehouse."""
    opened = []

    def run(files, variables=ORDERS_FILE, select=("base_orders_file__orders",)):
        write(tmp_path, files)
        command = ["run", "--select", *select] if select else ["build", "--exclude-resource-type", "unit_test"]
        dbt(*command, raw=tmp_path, warehouse=place, variables=variables)
        opened.append(Warehouse(place))
        return opened[-1]

    yield run
    for warehouse in opened:
        warehouse.connection.close()


@pytest.fixture
def complain(place, tmp_path):
    """Try to build, and return the one error that dbt prints."""

    def run(files, variables=ORDERS_FILE, raw=None):
        write(tmp_path, files)
        done = dbt("run", raw=raw or tmp_path, warehouse=place, variables=variables, check=False)
        assert done.returncode, "dbt accepted it"
        return done.stdout

    return run


def parquet(query, folder, name):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    duckdb.execute(f"copy ({query}) to '{path}' (format parquet)")
    return path.read_bytes()


def staged(warehouse):
    return warehouse.rows(
        "select customer_id, ordered_at, amount from staging.base_orders_file__orders where row_status = 'staged' "
        "order by ordered_at"
    )


def rejected(warehouse):
    return warehouse.rows(
        "select row_key, reject_reason from staging.base_orders_file__orders where row_status = 'rejected' order by all"
    )


MARTS = ("+customers", "+rejected_rows", "+source_tables", "+rejected_reasons")
PLAIN = [("a", datetime(2024, 1, 1), Decimal("10.0000")), ("a", datetime(2024, 2, 1, 23, 59, 59), Decimal("2.3400"))]
PLAIN_LINES = ["a,2024-01-01,10.00", "a,2024-02-01 23:59:59,2.34"]


@pytest.mark.parametrize(
    ("name", "content"),
    {
        "unix lines": ("orders.csv", HEADER + "\n".join(PLAIN_LINES) + "\n"),
        "windows lines": ("orders.csv", HEADER.strip() + "\r\n" + "\r\n".join(PLAIN_LINES) + "\r\n"),
        "no last line break": ("orders.csv", HEADER + "\n".join(PLAIN_LINES)),
        "byte order mark": ("orders.csv", "\ufeff" + HEADER + "\n".join(PLAIN_LINES)),
        "semicolons": ("orders.csv", (HEADER + "\n".join(PLAIN_LINES)).replace(",", ";")),
        "tabs": ("orders.csv", (HEADER + "\n".join(PLAIN_LINES)).replace(",", "\t")),
        "quotes and padding": (
            "orders.csv",
            '"customer_id","ordered_at","amount"\n" a ","2024-01-01"," 10.00 "\n' + PLAIN_LINES[1],
        ),
        "capital header, other columns": (
            "orders.csv",
            'Note,AMOUNT,Ordered_At,Customer_ID\n,10.00,2024-01-01,a\n"x,\ny",2.34,2024-02-01 23:59:59,a\n',
        ),
        "gzip": ("orders.csv.gz", gzip.compress((HEADER + "\n".join(PLAIN_LINES)).encode(), mtime=0)),
    }.values(),
    ids=lambda value: "bytes" if isinstance(value, bytes) else value[:20],
)
def test_csv_is_read_however_it_is_written(read, name, content):
    assert staged(read({name: content})) == PLAIN


def test_parquet_is_read_whatever_its_types(read, tmp_path):
    parquet(
        "select 7.0::double as customer_id, timestamptz '2024-01-01 04:59:59+00' as ordered_at, 10.10::double as amount "
        "union all select 7.0, timestamptz '2024-01-01 05:00:00+00', 2.24",
        tmp_path,
        "orders.parquet",
    )
    assert staged(read({})) == [
        ("7", datetime(2023, 12, 31, 23, 59, 59), Decimal("10.1000")),
        ("7", datetime(2024, 1, 1), Decimal("2.2400")),
    ]


def test_days_are_days_in_the_business_time_zone(read):
    """An offset is converted, also across midnight; without one, and for a bare date, it is wall clock already."""
    times = {
        "2024-06-01T03:59:59Z": datetime(2024, 5, 31, 23, 59, 59),
        "2024-06-01T04:00:00Z": datetime(2024, 6, 1),
        "2024-06-01 00:00:00.000001+05:30": datetime(2024, 5, 31, 14, 30, 0, 1),
        "2024-01-01 05:00:00+00": datetime(2024, 1, 1),
        "2024-06-01 23:59:59.999999": datetime(2024, 6, 1, 23, 59, 59, 999999),
        "2024-06-01": datetime(2024, 6, 1),
        "20240602": datetime(2024, 6, 2),
    }
    warehouse = read({"orders.csv": "order_id," + HEADER + "".join(f"{n},a,{t},1\n" for n, t in enumerate(times))})
    rows = warehouse.rows("select ordered_at from staging.base_orders_file__orders order by order_id")
    assert rows == [(expected,) for expected in times.values()]


def test_equal_rows_without_order_ids_are_different_purchases(read):
    warehouse = read({"orders.csv": HEADER + "a,2024-01-01,5\n" * 3})
    assert len(staged(warehouse)) == 3
    assert warehouse.row("select count(distinct row_key) from staging.base_orders_file__orders") == (3,)


def test_order_ids_make_equal_rows_one_order_and_other_values_a_rejected_row(read):
    lines = ["o1,a,2024-01-01,5", "o1,a,2024-01-01,5", "o2,a,2024-01-02,5", "o2,a,2024-01-02,6", ",a,2024-01-03,7"]
    warehouse = read({"orders.csv": "order_id," + HEADER + "\n".join(lines)})
    assert [row[2] for row in staged(warehouse)] == [5, 5, 7]
    assert rejected(warehouse) == [("o2", "order_id: repeated with other values")]


def test_status_currency_sign_and_date_decide_what_counts(read):
    lines = [
        "1,a,2024-01-01,10,USD,paid",
        "2,a,2024-01-02,10,,Canceled",
        "3,a,2024-01-03,10,usd, Refunded ",
        "4,a,2024-01-04,-4,,",
        "5,a,2024-01-05,10,XXX,",
        "6,,2024-01-06,99,,",
        "7,a,2024-06-30 23:59:59.999999,0.005,,",
        "8,a,2024-07-01,10,,",
        "9,b,2024-07-01,10,,",
    ]
    files = {"orders.csv": "order_id,customer_id,ordered_at,amount,currency,status\n" + "\n".join(lines)}
    warehouse = read(files, select=MARTS)
    assert warehouse.rows("select orders_count, gross_revenue, net_revenue from marts.customers") == [
        (3, Decimal("20.0050"), Decimal("6.0050"))
    ]
    assert warehouse.rows("select order_id, person_id is null from marts.orders order by 1") == [
        ("1", False),
        ("3", False),
        ("6", True),
        ("7", False),
    ]
    assert warehouse.rows("select row_key, reason from intermediate.rejected_rows") == [
        ("5", "currency: no rate from XXX to USD up to that month; add it to seeds/exchange_rates.csv")
    ]


def test_nothing_is_lost_of_a_damaged_file(read):
    lines = [
        "a,2024-01-01,1",
        "b,2024-02-30,1",
        "c,2024-01-01,n/a",
        "d,2024-01-01,",
        "e,2024-01-01",
        "f,2024-01-01,1,1",
        'g,"2024-01-01"x,1',
        "h,2024-01-01,NaN",
        "i,-infinity,1",
    ]
    warehouse = read({"orders.csv": HEADER + "\n".join(lines) + "\n"}, select=MARTS)
    assert [row[0] for row in staged(warehouse)] == ["a"]
    assert warehouse.rows("select reason from intermediate.rejected_rows order by 1") == [
        ("amount: missing",),
        ("amount: not a number",),
        ("amount: not a number",),
        ("line: missing columns",),
        ("line: text outside of its quotes",),
        ("line: too many columns",),
        (NO_TIME,),
        (NO_TIME,),
    ]
    lines_at = "select row_key from intermediate.rejected_rows where reason like 'line: %' order by 1"
    assert warehouse.rows(lines_at) == [("orders.csv line 6",), ("orders.csv line 7",), ("orders.csv line 8",)]
    counts = "select raw_rows, staged_rows, duplicate_rows, rejected_rows, latest_at, days_behind from marts.source_tables"
    assert warehouse.row(counts) == (9, 1, 0, 8, datetime(2024, 1, 1), 181)
    assert dict(warehouse.rows("select reason, rejected_rows from marts.rejected_reasons"))[NO_TIME] == 2
    raw = {row[0] for row in warehouse.rows("select raw_row from intermediate.rejected_rows")}
    assert all(any(line.split(",")[0] in row for row in raw) for line in lines[1:])


def test_freshness_is_that_of_the_latest_row_up_to_as_of_date(read):
    lines = ["a,2024-06-29 12:00,1", "a,2024-06-29 23:59:59.999999,1", "a,2024-07-01,1", "a,2099-01-01,1", "a,x,1"]
    warehouse = read({"orders.csv": HEADER + "\n".join(lines) + "\n"}, select=MARTS)
    fresh = "select latest_at, days_behind, rejected_share from marts.source_tables"
    assert warehouse.row(fresh) == (datetime(2024, 6, 29, 23, 59, 59, 999999), 1, 0.2)


def test_the_original_spelling_of_online_retail_is_read(read):
    lines = [
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country",
        "536365,85123A,CREAM CUPID \u00a3 HEARTS,6,12/1/2010 8:26,2.55,17850.0,United Kingdom",
        "536365, 85123a ,OTHER,2,12/1/2010 8:26,1.5,17850.0,United Kingdom",
        "C536379,D,Discount,-1,12/2/2010 9:41,27.5,17850.0,United Kingdom",
        "536370,POST,POSTAGE,1,12/2/2010 9:41,18,,France",
    ]
    variables = ORDERS_FILE | {"sources": ["online_retail"], "as_of_date": "2010-12-31"}
    warehouse = read({"online_retail.csv": "\n".join(lines).encode("latin-1")}, variables, MARTS)
    assert warehouse.rows(
        "select primary_customer_id, orders_count, gross_revenue, net_revenue from marts.customers"
    ) == [("17850", 1, Decimal("18.3000"), Decimal("-9.2000"))]
    assert warehouse.rows("select distinct stock_code from staging.int_online_retail__lines order by 1") == [
        ("85123A",),
        ("D",),
        ("POST",),
    ]
    assert warehouse.rows("select * from intermediate.rejected_rows") == []


def test_wrong_input_says_what_where_and_how_to_mend_it(complain, tmp_path):
    """tests/test_reader.py has every fault; here, that dbt stops with all of them at once, in a line each."""
    missing = tmp_path / "nowhere"
    assert f"no raw data in '{missing}' (LIFECYCLE_RAW); `make demo` makes a demo" in complain({}, raw=missing)
    said = complain(
        {"orders.csv": "anna.muster@example.com,Anna,+49 30 1234567\n" * 2, "shop/order.csv": HEADER, "shop/customers.parquet": b"PAR1"},
        ORDERS_FILE | {"sources": ["orders_file", "shop"]},
    )
    for part in (
        "orders.csv: none of its columns (3) is known; its first line looks like a row of data: does the file have a header line?",
        f"source 'shop' needs {tmp_path}/shop/orders as .parquet, .csv",
        "found: customers.parquet, order.csv; did you mean order.csv?",
        "shop/customers.parquet: cannot be read; is it cut off?",
    ):
        assert part in said


def test_nothing_personal_is_said_or_logged(complain, place):
    """Neither the first row of a file without a header, nor lines that cannot be read, nor what DuckDB says of them."""
    person = "anna.muster@example.com"
    said = complain({"orders.csv": f"{person},Anna,30.00\n{person},Anna,30.00\n"})
    said += complain({"orders.csv": HEADER + f"{person},2024-01-01,5\n" * 3 + f'"{person},2024-01-01,5,6\n' * 40})
    assert "40 of 43 lines cannot be read, more than 1 %; the first is line 5 (text outside of its quotes)" in said
    logs = "".join(path.read_text() for path in place.with_suffix(".logs").iterdir())
    assert "40 of 43 lines" in logs
    assert person not in said + logs and "Anna" not in said + logs


def test_a_schema_of_somebody_else_is_left_alone(tmp_path):
    """A loader's schema raw in the same file, and a raw_import that this project did not make."""
    write(tmp_path / "raw", {"orders.csv": HEADER + "a,2024-01-01,5\n"})
    place = tmp_path / "lifecycle.duckdb"
    with duckdb.connect(str(place)) as connection:
        connection.execute("create schema raw; create table raw.orders as select 1 as x; create schema raw_import; create table raw_import.y (z int)")
    arguments = {"raw": tmp_path / "raw", "warehouse": place, "variables": ORDERS_FILE, "check": False}
    assert "has a schema raw_import that this project did not make" in dbt("seed", "-s", "exchange_rates", **arguments).stdout
    with duckdb.connect(str(place)) as connection:
        assert connection.execute("select count(*) from raw_import.y").fetchall() == [(0,)]
        connection.execute("drop schema raw_import cascade")
    assert dbt("seed", "-s", "exchange_rates", **arguments).returncode == 0
    with duckdb.connect(str(place)) as connection:
        assert connection.execute("select (select count(*) from raw.orders), count(*) from raw_import.orders_file_orders").fetchall() == [(1, 1)]


def test_equal_parts_are_read_with_a_warning(place, tmp_path):
    write(tmp_path, {f"orders_2024-0{n}.csv": HEADER + "a,2024-01-01,5\n" for n in (1, 2)})
    done = dbt("run", "--select", "base_orders_file__orders", raw=tmp_path, warehouse=place, variables=ORDERS_FILE)
    assert "the same rows are in orders_2024-02.csv; if they are the same purchases, keep one file" in done.stdout
    warehouse = Warehouse(place)
    assert len(staged(warehouse)) == 2
    warehouse.connection.close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sources": "orders_file"}, "variable sources: a list is needed"),
        ({"sources": ["orders"]}, "unknown source 'orders'; known: app, canonical, esp, klaviyo, mailchimp, online_retail, orders_file, segment, shop, shopify"),
        (
            {
                "as_of_date": "2026-02-30",
                "business_time_zone": "Berlin",
                "at_risk_after_days": 90,
                "lapsed_after_days": 90,
                "loyal_min_orders": 1,
                "cohort_dimension": "colour",
            },
            "variable as_of_date: '2026-02-30' is not a date|'Berlin' is no IANA time zone|at risk must come before lapsed"
            "|loyal customers are repeat customers|'colour' must be acquisition_channel, country or first_category",
        ),
        (
            {"raw_databases": {"orders_file": {"schema": "s", "password": "x"}}},
            "variable raw_databases.orders_file: `schema` is needed, `database` may be there, nothing else; credentials belong in profiles.yml",
        ),
        ({"raw_databases": ["shop"]}, "variable raw_databases: a mapping is needed, such as {shop: {database: loader"),
        (
            {
                "reporting_currency": "Euro",
                "earliest_plausible_date": "1990",
                "source_settings": {"orders_fle": {}, "orders_file": {"decimel": ",", "time_zone": "Berlin"}},
            },
            "reporting_currency: 'Euro' is no ISO 4217 code|earliest_plausible_date: '1990' is not a date; write it as YYYY-MM-DD"
            "|source_settings.orders_fle: no such source; did you mean 'orders_file'?"
            "|source_settings.orders_file: unknown setting 'decimel'; did you mean 'decimal'?"
            "|source_settings.orders_file.time_zone: 'Berlin' is no IANA time zone",
        ),
        (
            {
                "business_model": "shop",
                "customer_years": 0,
                "points_per_unit": "x",
                "fatigue_cap": 0,
                "tier_near_share": 2,
            },
            "'shop' must be retail or b2b|customer_years: '0' must be a number above 0|points_per_unit: 'x'"
            "|fatigue_cap: '0' must be a whole number|tier_near_share: '2' must be a number from 0 to 1",
        ),
        (
            {"habit_min_active_days": 1, "habit_min_events": 0, "habit_slip_ratio": "x", "habit_ignored_messages": 15},
            "habit_min_active_days: one day has no days between|habit_min_events: '0' must be a whole number"
            "|habit_slip_ratio: 'x' must be a number above 0|habit_ignored_messages (15) and habit_gone_messages (15): who ignores",
        ),
    ],
)
def test_wrong_variables_say_so(complain, change, message):
    said = complain({"orders.csv": HEADER + "a,2024-01-01,1\n"}, ORDERS_FILE | change)
    for part in message.split("|"):
        assert part in said


def test_a_source_system_without_optional_tables_and_with_empty_ones(read, tmp_path):
    """Empty tables make typed, empty marts; an optional table that is absent is no error."""
    parquet("select 'x' as customer_id, now()::timestamp as created_at where false", tmp_path, "shop/customers.parquet")
    parquet(
        "select '1' as order_id, 'x' as customer_id, now()::timestamp as ordered_at, 1.0 as gross_amount where false",
        tmp_path,
        "shop/orders.parquet",
    )
    warehouse = read({}, ORDERS_FILE | {"sources": ["shop"]}, select=())
    counts = {
        table: warehouse.row(f"select count(*) from marts.{table}")[0]
        for (table,) in warehouse.rows("select table_name from information_schema.tables where table_schema = 'marts'")
    }
    # these have a row per rule, cell or day whatever the data; all the others are empty
    always = {"audience_summary", "campaign_results", "metric_benchmarks", "metric_health", "return_curve", "rfm_grid"}
    always |= {"stage_funnel", "stage_summary", "stage_thresholds", "touchpoint_gaps", "build_settings", "source_tables"}
    assert {table for table, rows in counts.items() if rows} == always
    assert (counts["rfm_grid"], counts["stage_summary"], counts["stage_thresholds"]) == (25, 11, 1)
    assert warehouse.row("select count(*), sum(raw_rows), count(rejected_share) from marts.source_tables") == (8, 0, 0)


@pytest.mark.skipif(not os.environ.get("TEST_LONG"), reason="minutes; make test-long")
def test_ten_thousand_parts_are_one_table(place, tmp_path):
    """The same customers and orders as of one file, and checked as such."""
    rows = [f"O{n},c{n % 3000},2024-0{1 + n % 6}-1{n % 10} 10:00:00,{n % 97}.50" for n in range(20_000)]
    header = "order_id,customer_id,ordered_at,amount"
    write(tmp_path / "one", {"orders.csv": "\n".join([header, *rows]) + "\n"})
    write(tmp_path / "many", {f"orders/part-{n:05}.csv": "\n".join([header, *rows[n::10_000]]) + "\n" for n in range(10_000)})
    found = []
    for raw in ("one", "many"):
        started = time.monotonic()
        dbt("run", "--select", "+customers", raw=tmp_path / raw, warehouse=place, variables=ORDERS_FILE)
        found.append(checksums(place))
        print(f"{raw}: {time.monotonic() - started:.0f} s")
    assert found[0]["orders"][0] == 20_000
    assert {mart: found[1][mart] for mart in ("orders", "customers")} == {mart: found[0][mart] for mart in ("orders", "customers")}
    started = time.monotonic()
    done = script("validate_raw.py", "--raw", tmp_path / "many", "--state", tmp_path / "state", "--sources", "orders_file", "--as-of", "2024-06-20",
                  "--html", tmp_path / "page.html")  # fmt: skip
    print(f"checks: {time.monotonic() - started:.0f} s")
    assert done.returncode in (0, 1), done.stdout
