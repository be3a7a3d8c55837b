"""A Shopify shop gives the same marts from every layout that people have, less what the layout lacks."""

import csv
import json
import shutil
from collections import defaultdict
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import duckdb
import pytest

from raw_checks import raw_files
from raw_reader import read_raw
from support import NO_UNIT_TESTS, PROJECT, Warehouse, checksums, dbt, script, shared_data

FIXTURE = PROJECT / "tests" / "fixtures" / "shopify"
BERLIN = {"sources": ["shopify"], "business_time_zone": "Europe/Berlin", "reporting_currency": "EUR"}
SMALL = BERLIN | {"as_of_date": "2026-03-31"}
AS_OF = {"fixture": SMALL, "sample": BERLIN | {"as_of_date": "2026-10-31"}}
PEOPLE = (
    "select count(*), count_if(is_customer), count_if(is_repeat_customer), count_if(is_loyal_customer), count_if(can_email), "
    "count_if(can_sms) from marts.customers"
)
MONEY = (
    "select count(*), sum(gross_amount), sum(discount_amount), sum(refunded_amount), sum(net_amount), "
    "count_if(person_id is null) from marts.orders"
)


# --- Airbyte's layout of what Fivetran has ------------------------------------------------------------


def airbyte(folder, has_streams):
    """The tables of Fivetran in `folder` as Airbyte's streams; with `has_streams` refunds and transactions are streams of their own."""
    tables = defaultdict(list)
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            there = [row for row in csv.DictReader(file) if row.get("_fivetran_deleted") != "true"]
            tables[path.stem] = [{key: value for key, value in row.items() if not key.startswith("_")} for row in there]
    records = {name: [dict(map(json_value, row.items())) for row in rows] for name, rows in tables.items()}
    addresses = {address["id"]: address for address in records["customer_address"]}
    for customer in records["customer"]:
        address = addresses.get(customer.pop("default_address_id"))
        customer["default_address"] = address and {"default": True} | address
        for consent in ("email_marketing_consent", "sms_marketing_consent"):
            names = [name for name in customer if name.startswith(f"{consent}_")]
            customer[consent] = {name.removeprefix(f"{consent}_"): customer.pop(name) for name in names}

    children = {name: defaultdict(list) for name in ("order_line", "order_discount_code", "refund", "transaction")}
    for name, parent in (
        ("order_line", "order_id"),
        ("order_discount_code", "order_id"),
        ("transaction", "refund_id"),
        ("refund", "order_id"),
    ):
        for row in records[name]:
            children[name][row.get(parent)].append(
                {key: value for key, value in row.items() if key not in ("index", "refund_id")}
            )
    for refunds in children["refund"].values():
        for refund in refunds:
            refund["transactions"] = children["transaction"][refund["id"]]
    for order in records["order"]:
        customer = order.pop("customer_id")
        order["customer"] = customer and {"id": customer, "email": order["email"]}
        order["billing_address"] = {"name": order.pop("billing_address_name", None)}
        order["total_price_set"] = {
            "presentment_money": {"amount": order["total_price"], "currency_code": order["currency"]}
        }
        order["line_items"], order["discount_codes"] = (
            children["order_line"][order["id"]],
            children["order_discount_code"][order["id"]],
        )
        order["refunds"] = children["refund"][order["id"]]
    streams = {"customers": records["customer"], "orders": records["order"], "products": records["product"]}
    if has_streams:
        streams["order_refunds"] = [refund for refunds in children["refund"].values() for refund in refunds]
        streams["transactions"] = [
            {key: value for key, value in row.items() if key != "refund_id"} for row in records["transaction"]
        ]
    return streams


def json_value(item):
    """Ids and numbers as numbers, times with the shop's offset, nothing as null; money as text or number, as both are met."""
    name, text = item
    if text == "":
        return name, None
    if name.endswith("_at"):
        moment = datetime.fromisoformat(text).replace(tzinfo=UTC).astimezone(ZoneInfo("Europe/Berlin"))
        return name, moment.isoformat(timespec="seconds")
    if text in ("true", "false"):
        return name, text == "true"
    if name in ("id", "index", "quantity", "total_price") or name.endswith("_id"):
        return name, json.loads(text)
    return name, text


def write_streams(streams, folder):
    folder.mkdir(parents=True)
    for name, records in streams.items():
        lines = [json.dumps({"_airbyte_extracted_at": 1, **record}, ensure_ascii=False) for record in records]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


# --- builds -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A function that builds a raw folder once and returns the warehouse."""
    built = {}

    def run(name, raw, variables):
        if name not in built:
            path = tmp_path_factory.mktemp(name.replace(" ", "_")) / "lifecycle.duckdb"
            done = dbt("build", *NO_UNIT_TESTS, raw=raw, warehouse=path, variables=variables)
            assert "WARN" not in done.stdout.replace("WARN=0", ""), done.stdout[-4000:]
            built[name] = Warehouse(path)
        return built[name]

    yield run
    for warehouse in built.values():
        warehouse.connection.close()


@pytest.fixture(scope="module")
def raw_of(tmp_path_factory):
    """A function that gives the raw folder of a shop (fixture or sample) in a layout."""

    def find(which, layout):
        folder = tmp_path_factory.mktemp("raw")
        if layout == "airbyte":
            write_streams(
                airbyte(find(which, "fivetran") / "shopify", has_streams=which == "sample"), folder / "shopify"
            )
        elif which == "fixture":
            shutil.copytree(FIXTURE / layout / "shopify", folder / "shopify")
        else:
            names = {"fivetran": "shopify_fivetran", "admin": "shopify_admin_csv"}
            (folder / "shopify").symlink_to(shared_data("sources") / names[layout])
        return folder

    return find


@pytest.fixture(scope="module")
def truth():
    return json.loads((shared_data("sources") / "truth.json").read_text())


def money(*texts):
    return tuple(map(Decimal, texts))


# --- a shop whose numbers are known by hand -----------------------------------------------------------


@pytest.mark.parametrize(
    ("layout", "people", "orders_of_nobody"),
    [
        # Anna (twice, with consent), Bert (a phone only), a guest; Çiğdem cancelled, David is pending, Eve tested
        ("fivetran", (6, 3, 1, 0, 1, 1), 1),
        ("airbyte", (6, 3, 1, 0, 1, 1), 1),
        # Bert's order names neither him nor an address
        ("admin", (6, 2, 1, 0, 1, 1), 2),
    ],
)
def test_a_small_shop_is_right_from_every_layout(shop, raw_of, layout, people, orders_of_nobody):
    warehouse = shop(f"fixture {layout}", raw_of("fixture", layout), SMALL)
    assert warehouse.row(PEOPLE) == people
    assert warehouse.row(MONEY) == (5, *money("107.60", "5.00", "18.00", "84.60"), orders_of_nobody)
    assert warehouse.rows("select count(*) from intermediate.rejected_rows") == [(0,)]
    # an order of 23:30 UTC is of the next day in Berlin, and its refund of the 20th
    assert warehouse.row(
        "select order_date, gross_amount, refunded_amount, order_channel, coupon_code from marts.orders where order_id = '1001'"
    ) == (date(2026, 1, 11), *money("39.60", "10.00"), "web", "WELCOME")
    assert warehouse.row(
        "select refund_date, sum(amount) from staging.stg_shop__refunds where order_id = '1001' group by all"
    ) == (
        date(2026, 1, 20),
        Decimal("10"),
    )
    assert warehouse.rows("select order_id, order_channel from marts.orders order by order_id") == [
        ("1001", "web"),
        ("1002", "phone"),
        ("1003", "web"),
        ("1006", "store"),
        ("1007", "web"),
    ]
    assert warehouse.row(
        "select city, region, country, phone, last_name from marts.customers where email = 'anna@example.com'"
    ) == (
        "Köln",
        "NW",
        "DE",
        "+49301000101",
        "Groß",
    )
    lines = warehouse.rows(
        "select order_id, line_number, quantity, unit_price from staging.stg_shop__order_items where order_id = '1001' order by 2"
    )
    assert lines == [("1001", 1, 2, Decimal("14.80")), ("1001", 2, 1, Decimal("5.10"))]


def test_a_customer_without_a_date_is_known_since_the_first_order_or_ever_since(shop, raw_of):
    warehouse = shop("fixture admin", raw_of("fixture", "admin"), SMALL)
    seen = dict(warehouse.rows("select email, cast(first_seen_at as date) from marts.customers"))
    assert seen["anna@example.com"] == date(2026, 1, 11)
    assert seen["david@example.com"] == date(2026, 1, 11), "the first day of all"
    assert seen["guest@example.com"] == date(2026, 2, 14)


def test_airbyte_gives_the_marts_of_fivetran(shop, raw_of):
    """Only what is counted of the raw tables differs: addresses are in their customers, sales are no transactions."""
    of_fivetran = checksums(shop("fixture fivetran", raw_of("fixture", "fivetran"), SMALL).path)
    of_airbyte = checksums(shop("fixture airbyte", raw_of("fixture", "airbyte"), SMALL).path)
    different = {name for name in of_fivetran if of_fivetran[name] != of_airbyte[name]}
    assert different <= {"source_tables", "build_settings"}


def test_an_exported_no_is_a_no_unless_silence_is_declared(raw_of, tmp_path):
    """The export cannot tell "never asked" from "unsubscribed"; a yes is a yes in either case."""
    for settings, no in (({}, "opted_out"), ({"shopify": {"undated_no": "silence"}}, "silence")):
        path = tmp_path / f"{no}.duckdb"
        variables = SMALL | {"source_settings": settings}
        dbt(
            "run", "--select", "+stg_esp__consents", raw=raw_of("fixture", "admin"), warehouse=path, variables=variables
        )
        with duckdb.connect(str(path), read_only=True) as connection:
            said = connection.execute(
                "select channel, coalesce(email, phone), status, changed_at from staging.stg_esp__consents order by 1, 2"
            )
            assert said.fetchall() == [
                ("email", "anna@example.com", "opted_in", None),
                ("email", "cigdem@example.com", no, None),
                ("email", "david@example.com", no, None),
                ("email", "eve@example.com", no, None),
                ("sms", "+49301000101", no, None),
                ("sms", "+49301000102", "opted_in", None),
            ]


def test_several_shops_are_told_apart_and_share_people_by_address(shop, raw_of, tmp_path):
    """Three shops with the same ids, in three layouts: money three times over, Anna once, everybody else once per shop."""
    for town, layout in (("berlin", "fivetran"), ("wien", "airbyte"), ("graz", "admin")):
        shutil.copytree(raw_of("fixture", layout) / "shopify", tmp_path / "shopify" / town)
    for town in ("wien", "graz"):
        for path in (tmp_path / "shopify" / town).iterdir():
            text = path.read_text(encoding="utf-8")
            for name in ("cigdem", "david", "eve", "guest"):
                text = text.replace(f"{name}@", f"{name}.{town}@")
            path.write_text(text, encoding="utf-8")
    warehouse = shop("three shops", tmp_path, SMALL)
    assert warehouse.row(PEOPLE) == (16, 6, 1, 1, 1, 3)
    assert warehouse.row(MONEY) == (15, *money("322.80", "15.00", "54.00", "253.80"), 4)
    assert warehouse.row("select orders_count, net_revenue from marts.customers where email = 'anna@example.com'") == (
        6,
        Decimal("133.80"),
    )
    assert warehouse.rows(
        "select order_id, customer_id from staging.stg_shop__orders where order_id like '%:1001' order by 1"
    ) == [(f"{town}:1001", f"{town}:101") for town in ("berlin", "graz", "wien")]
    assert warehouse.rows("select count(distinct product_id), count(*) from staging.stg_shop__products") == [(9, 9)]
    assert warehouse.rows("select count(*) from intermediate.rejected_rows") == [(0,)]


# --- what stops a build -------------------------------------------------------------------------------


def faults(folder):
    """What is wrong with a raw folder before anything is built."""
    with duckdb.connect() as connection:

        def query(sql, parameters=None):
            done = connection.execute(sql, parameters)
            return done.fetchall() if done.description else []

        found = read_raw(query, list(raw_files.declared(PROJECT, ["shopify"]).values()), folder, {"shopify"})
    return [fault.text for fault in found.faults]


@pytest.fixture
def messy(raw_of, tmp_path):
    """A function that makes a raw folder of some files of the layouts: "admin/orders_export"."""
    of_layout = {layout: raw_of("fixture", layout) / "shopify" for layout in ("fivetran", "airbyte", "admin")}

    def make(*names):
        (tmp_path / "shopify").mkdir()
        for name in names:
            layout, _, table = name.partition("/")
            (path,) = of_layout[layout].glob(f"{table}.*")
            shutil.copy(path, tmp_path / "shopify")
        return tmp_path

    return make


def test_one_layout_is_enough(messy, raw_of):
    assert faults(messy("admin/orders_export")) == []
    assert all(faults(raw_of("fixture", layout)) == [] for layout in ("fivetran", "airbyte", "admin"))


def test_two_layouts_of_one_shop_are_one_clear_error(messy):
    (fault,) = faults(messy("fivetran/order", "fivetran/customer", "admin/orders_export", "admin/customers_export"))
    assert (
        "customer.csv is of the tables of a loader" in fault
        and "orders_export.csv of the CSV exports of the Admin" in fault
    )
    assert fault.endswith("keep one of the two")


def test_tables_of_two_loaders_are_one_error_per_table(messy):
    said = faults(messy("fivetran/order", "airbyte/orders", "fivetran/customer"))
    assert len(said) == 1 and "two files for one table" in said[0] and "orders.jsonl" in said[0]


def test_what_is_needed_is_said(messy):
    (fault,) = faults(messy("fivetran/product", "fivetran/order"))
    assert "needs" in fault and "shopify/customer" in fault and "orders_export" not in fault


def test_without_any_file_every_layout_is_named(tmp_path):
    (tmp_path / "shopify").mkdir()
    (tmp_path / "shopify" / "readme.txt").write_text("nothing yet")
    (fault,) = faults(tmp_path)
    assert "customer and order (tables of a loader) or orders_export (CSV exports of the Admin)" in fault


def test_a_list_that_is_no_json_stops(raw_of, tmp_path):
    shutil.copytree(raw_of("fixture", "airbyte") / "shopify", tmp_path / "shopify")
    path = tmp_path / "shopify" / "orders.jsonl"
    path.write_text(path.read_text().replace('"refunds": []', '"refunds": "none"', 1))
    (fault,) = faults(tmp_path)
    assert "1 values of 'refunds' are no JSON lists" in fault


def test_other_builds_have_no_node_of_shopify(tmp_path):
    done = dbt("ls", "--output", "name", raw=FIXTURE, warehouse=tmp_path / "lifecycle.duckdb")
    assert "shopify" not in done.stdout
    done = dbt(
        "parse",
        "--no-partial-parse",
        raw=FIXTURE,
        warehouse=tmp_path / "lifecycle.duckdb",
        variables={"sources": ["shopify"]},
    )
    assert "warn" not in done.stdout.lower() and "deprecat" not in done.stdout.lower(), done.stdout


@pytest.mark.parametrize("layout", ["fivetran", "airbyte", "admin"])
def test_the_raw_checks_pass(raw_of, tmp_path, layout):
    pytest.importorskip("great_expectations", reason="Great Expectations is not installed: make .venv/validate")
    done = script(
        "validate_raw.py",
        "--sources",
        "shopify",
        "--as-of",
        "2026-03-02",
        "--html",
        tmp_path / "page.html",
        LIFECYCLE_RAW=raw_of("fixture", layout),
        LIFECYCLE_STATE=tmp_path / "state",
    )
    assert done.returncode == 0, done.stdout + done.stderr


# --- the sample, to the cent --------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["fivetran", "airbyte", "admin"])
def test_the_sample_is_right_from_every_layout(shop, raw_of, truth, layout):
    lacks = truth["shopify_admin_csv_lacks"] if layout == "admin" else {}
    right = truth | lacks
    warehouse = shop(f"sample {layout}", raw_of("sample", layout), AS_OF["sample"])
    assert warehouse.row(PEOPLE) == tuple(
        right[name]
        for name in (
            "users_shop",
            "customers",
            "repeat_customers",
            "loyal_customers",
            "can_email_shopify",
            "can_sms_shopify",
        )
    )
    amounts = money(right["gross"], right["discount"], right["refunded"], right["net"])
    assert warehouse.row(MONEY) == (right["counted_orders"], *amounts, right["orders_of_nobody"])
    assert warehouse.row(
        "select count(*), count_if(is_test), count_if(status = 'cancelled') from staging.stg_shop__orders"
    ) == (
        right["all_orders"],
        right["tests"],
        right["cancelled"],
    )


@pytest.mark.parametrize("layout", ["fivetran", "airbyte", "admin"])
def test_only_who_subscribed_is_contacted(shop, raw_of, truth, layout):
    """Everybody by name, from the file itself."""
    with (raw_of("sample", "fivetran") / "shopify" / "customer.csv").open(newline="", encoding="utf-8") as file:
        customers = list(csv.DictReader(file))
    warehouse = shop(f"sample {layout}", raw_of("sample", layout), AS_OF["sample"])
    for channel, address, state in (
        ("email", "email", "email_marketing_consent_state"),
        ("sms", "phone", "sms_marketing_consent_state"),
    ):
        subscribed = {row[address].lower() for row in customers if row[address] and row[state] == "subscribed"}
        assert {
            row[0] for row in warehouse.rows(f"select {address} from marts.customers where can_{channel}")
        } == subscribed


def test_the_sample_has_the_same_marts_from_airbyte(shop, raw_of, truth):
    of_fivetran = checksums(shop("sample fivetran", raw_of("sample", "fivetran"), AS_OF["sample"]).path)
    of_airbyte = checksums(shop("sample airbyte", raw_of("sample", "airbyte"), AS_OF["sample"]).path)
    assert {name for name in of_fivetran if of_fivetran[name] != of_airbyte[name]} <= {
        "source_tables",
        "build_settings",
    }


def test_exported_customers_keep_their_ids_and_people(shop, raw_of, truth):
    """Who is who does not depend on the layout, so holdouts survive a change of it."""
    keys = (
        "select person_id, primary_customer_id from marts.customers where primary_customer_id is not null order by all"
    )
    of_fivetran = shop("sample fivetran", raw_of("sample", "fivetran"), AS_OF["sample"]).rows(keys)
    assert shop("sample admin", raw_of("sample", "admin"), AS_OF["sample"]).rows(keys) == of_fivetran
