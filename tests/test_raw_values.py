"""Real builds of raw data as people have it: the right value in the marts, or a rejected row, and no lost no."""

import csv
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal

import duckdb
import pytest

from support import NO_UNIT_TESTS, Warehouse, dbt, shared_case

CASES = {"as_of_date": "2026-11-26", "business_time_zone": "Europe/Berlin", "reporting_currency": "EUR"}
ORDERS = CASES | {"sources": ["orders_file"], "reporting_currency": " eur"}
SHOP = CASES | {"sources": ["shop", "app", "esp"]}


def write(folder, name, lines):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        for line in lines:
            if isinstance(line, str):
                file.write(line + "\n")
            else:
                csv.writer(file, lineterminator="\n").writerow(line)


def people(warehouse):
    """{primary id or, for a guest, address: (orders, net revenue)}"""
    query = "select coalesce(primary_customer_id, email), orders_count, net_revenue from marts.customers"
    return {name: (orders, net) for name, orders, net in warehouse.rows(query)}


def rejected(warehouse):
    return dict(warehouse.rows("select table_name || ' ' || row_key, reason from intermediate.rejected_rows"))


# one file of orders


@pytest.fixture(scope="module")
def orders_place(tmp_path_factory):
    return tmp_path_factory.mktemp("orders") / "lifecycle.duckdb"


@pytest.fixture(scope="module")
def orders(orders_place, tmp_path_factory):
    """Everything built and tested of one file."""
    raw = tmp_path_factory.mktemp("raw")
    lines = ["order_id,customer_id,ordered_at,amount,currency,status"]
    # sales and refunds under one id; R9 is no order's; of A3 the money went back in another currency
    lines += ["A1,ka,2026-06-01,20.00,,", "A1,ka,2026-06-01,-20.00,,", "A2,kb,2026-06-01,30.00,EUR,"]
    lines += ["A2,kb,2026-06-10,-10.00,eur,", "A2,kb,2026-06-12,-5.00,,", "R9,kb,2026-07-01,-2.00,,"]
    lines += ["A3,kc,2026-06-01,40.00,USD,", "A3,kc,2026-06-02,-10.00,EUR,", "A4,kd,2026-06-01,9.00,,", "A4,kd,2026-06-02,-12.00,,"]
    # nobody's
    lines += [f"N{number},{word},2026-08-01,1.00,," for number, word in enumerate(("NULL", "n/a", "-", "NaN", "", '" \t"'))]
    # large
    lines += ["L1,la,2026-09-01,1000000000000,EUR,", "L2,lb,2026-09-01,1000000000000,USD,", "L3,lc,2026-09-01,1000000000000.01,EUR,"]
    # on one day
    lines += [f"{number},ko,2026-10-01,{number}.00,," for number in ("10", "9", "100", "11")]
    lines += [f"#{number},kp,2026-10-01,1.00,," for number in ("1000", "999")]
    write(raw, "orders.csv", lines)
    dbt("build", *NO_UNIT_TESTS, raw=raw, warehouse=orders_place, variables=ORDERS)
    opened = Warehouse(orders_place)
    found = {
        "people": people(opened),
        "rejected": rejected(opened),
        "orders": dict(opened.rows("select order_id, net_amount from marts.orders")),
        "over": opened.rows("select order_id from marts.orders where is_over_refunded order by 1"),
        "numbers": dict(opened.rows("select order_id, order_number from marts.orders")),
        "nobody": opened.row("select count(*) from marts.orders where person_id is null")[0],
        "currency": opened.row("select reporting_currency from marts.build_settings")[0],
        "rate": opened.row("select rate from intermediate.int_exchange_rates where currency = 'USD' order by valid_from desc limit 1")[0],
    }
    opened.connection.close()
    return found


def test_an_id_of_a_sale_and_refunds_keeps_both_and_lowers_that_order(orders):
    assert {key: orders["orders"][key] for key in ("A1", "A2")} == {"A1": 0, "A2": 15}
    assert orders["people"]["ka"] == (1, 0) and orders["people"]["kb"] == (1, 13)
    dollars = round(40 * orders["rate"], 4)
    assert orders["orders"]["A3"] == dollars and orders["people"]["kc"] == (1, dollars - 10)


def test_what_is_worth_less_than_nothing_is_told(orders):
    assert orders["over"] == [("A4",)] and orders["orders"]["A4"] == -3


def test_words_for_none_are_nobodys_orders(orders):
    assert orders["nobody"] == 6 and orders["people"].keys() == {"ka", "kb", "kc", "kd", "la", "lb", "ko", "kp"}


def test_a_trillion_fits_and_more_is_rejected(orders):
    assert orders["people"]["la"] == (1, 10**12) and orders["people"]["lb"] == (1, 10**12 * orders["rate"])
    assert orders["rejected"] == {"orders L3": "amount: beyond 1,000,000,000,000"}


def test_orders_of_one_day_count_by_their_number(orders):
    numbers = orders["numbers"]
    assert [numbers[key] for key in ("9", "10", "11", "100", "#999", "#1000")] == [1, 2, 3, 4, 1, 2]


def test_the_reporting_currency_is_one_however_it_is_written(orders):
    assert orders["currency"] == "EUR"


# a shop, its app and its mails


def days(first, count):
    return [str(date.fromisoformat(first) + timedelta(days=number)) for number in range(count)]


YES_AT = "2026-11-20T10:00:00Z"
# who said what, and whether a mail may be sent: consents (status, changed_at), messages, suppressions, broken lines
SAID = {
    "yes": ({"consents": [("opted_in", YES_AT)]}, True),
    "utc_no": ({"consents": [("opted_in", YES_AT)], "messages": [("2026-11-20T09:00:00Z", "2026-11-20 10:30:00 UTC", "")]}, False),
    "gmt_no": ({"consents": [("opted_in", YES_AT), ("opted_out", "2026-11-20 11:30:00 +0100")]}, False),
    "epoch_no": ({"consents": [("opted_in", YES_AT)], "messages": [("2026-11-20", "1795170600", "")]}, False),
    "earlier_no": ({"consents": [("opted_in", YES_AT)], "messages": [("2026-11-20", "2026-11-20 09:30:00 UTC", "")]}, True),
    "unreadable_no": ({"consents": [("opted_in", YES_AT), ("opted_out", "20.11.26 noon")]}, False),
    "undated_no": ({"consents": [("opted_in", YES_AT), ("opted_out", "")]}, False),
    "unreadable_yes": ({"consents": [("opted_in", "November")]}, True),
    "unreadable_yes_old_no": ({"consents": [("opted_in", "November"), ("opted_out", "1999-01-01")]}, False),
    "unreadable_unsubscribe": ({"consents": [("opted_in", YES_AT)], "messages": [("2026-11-20", "today", "")]}, False),
    "unreadable_complaint": ({"consents": [("opted_in", YES_AT)], "messages": [("2026-11-20", "", "today")]}, False),
    "unreadable_sending": ({"consents": [("opted_in", YES_AT)], "messages": [("20/11/2026", "2026-11-21", "")]}, False),
    "unreadable_row": ({"consents": [("opted_in", YES_AT)], "messages": [("20/11/2026", "", "")]}, False),
    "in_a_broken_line": ({"consents": [("opted_in", YES_AT)], "broken": "consents"}, False),
    "in_a_broken_suppression": ({"consents": [("opted_in", YES_AT)], "broken": "suppressions"}, False),
    "in_a_broken_message": ({"consents": [("opted_in", YES_AT)], "broken": "messages"}, False),
    "suppressed_somewhen": ({"consents": [("opted_in", YES_AT)], "suppressions": "soon"}, False),
    # two versions of one message: which was later nobody knows, so its no counts
    "two_versions": ({"consents": [("opted_in", YES_AT)], "messages": [("2026-11-20", "", ""), ("2026-11-20", "2026-11-21", "")]}, False),
    "two_harmless_versions": ({"consents": [("opted_in", YES_AT)], "messages": [("2026-11-18", "", ""), ("2026-11-19", "", "")]}, True),
}
TEXTED = {"phone_in_a_line": "+49 30 901", "user_in_a_line": "U77", "nowhere": "+49 30 903"}


@pytest.fixture(scope="module")
def shop_place(tmp_path_factory):
    return tmp_path_factory.mktemp("shop") / "lifecycle.duckdb"


@pytest.fixture(scope="module")
def shop_raw(tmp_path_factory):
    raw = tmp_path_factory.mktemp("raw")
    customers = [["customer_id", "email", "phone", "first_name", "last_name", "created_at"]]
    orders = [["order_id", "customer_id", "email", "phone", "customer_name", "ordered_at", "gross_amount", "discount_amount"]]
    # an address on 11 records: of one name, of one phone, of two names, of one name and nobody's; on 10 of nobody
    for number, day in enumerate(days("2026-01-15", 11)):
        customers += [[f"one{number}", "one@x.example", "", "Lena", "Guest", day]]
        customers += [[f"tel{number}", "tel@x.example", "+49 30 1", "", "", day]]
        customers += [[f"two{number}", "two@x.example", "+49 30 2", "Lena" if number else "Rosa", "Guest", day]]
        customers += [[f"few{number}", "few@x.example", "", "Null" if number == 10 else "", "", day]]
        orders += [[f"{kind}{number}", f"{kind}{number}", "", "", "", day, "50", ""] for kind in ("one", "tel", "two", "few")]
        orders += [[f"guest{number}", "", "guest@x.example", "", " lena  GUEST", day, "5", ""]]
        orders += [[f"market{number}", "", "market@x.example", "", "", day, "5", ""]]
        orders += [[f"names{number}", "", "names@x.example", "", f"Buyer {number}", day, "5", ""]]
        if number < 10:
            customers += [[f"ten{number}", "ten@x.example", "", "", "", day]]
            orders += [[f"regular{number}", "", "regular@x.example", "", "", day, "5", ""]]
    # no addresses, and one address in many spellings
    for number, email in enumerate(("n/a", "none", "-", "unknown", "nobody(at)x.example")):
        customers += [[f"none{number}", email, "", "", "", "2026-02-01"]]
    for number, email in enumerate((" Ann@X.example", "ann@x.example\u00a0", "\u200bann@x.example", "ann@x.example\t")):
        customers += [[f"ann{number}", email, "", "", "", f"2026-02-0{number + 1}"]]
    # money
    customers += [[f"m{number}", "", "", "", "", "2026-01-01"] for number in range(6)]
    orders += [["p0", "m0", "", "", "", "2026-10-01", "36.37", "0"], ["p1", "m1", "", "", "", "2026-10-01", "30.00", "40.00"]]
    orders += [["p2", "m2", "", "", "", "2026-10-01", "30.00", "-5.00"], ["p3", "m3", "", "", "", "2026-10-01", "30.00", "5.00"]]
    orders += [["p4", "m4", "", "", "", "2026-10-01", "50.00", ""], ["p5", "m5", "", "", "", "2026-10-01", "1.00001", ""]]
    refunds = [["refund_id", "order_id", "refunded_at", "amount"], ["r0", "p0", "2026-10-03", "10.00"], ["r1", "p0", "2026-10-04", "36.37"]]
    refunds += [["r2", "p3", "2026-10-03", "-25.00"], ["r3", "p4", "2026-10-03", "50"], ["r4", "p4", "2026-12-24", "1"]]
    # consent
    consents = [["email", "phone", "user_id", "channel", "status", "changed_at"]]
    messages = [["message_id", "email", "sent_at", "unsubscribed_at", "complained_at"]]
    suppressions, lines = [["email", "channel", "reason", "suppressed_at"]], {"consents": [], "suppressions": [], "messages": []}
    for name, (said, _) in SAID.items():
        email = f"{name}@mail.example"
        customers += [[name, email, "", "", "", "2026-01-01"]]
        consents += [[email, "", "", "email", status, at] for status, at in said.get("consents", ())]
        numbered = "" if "versions" in name else "{}"
        messages += [[name + numbered.format(number), email, *times] for number, times in enumerate(said.get("messages", ()))]
        if "suppressions" in said:
            suppressions += [[email, "email", "unsubscribed", said["suppressions"]]]
        if "broken" in said:
            lines[said["broken"]] += [f'x,"{email}",,,,,,,,,,,too,many']
    users = [["user_id", "customer_id", "created_at"]]
    for number, (name, token) in enumerate(TEXTED.items(), start=1):
        phone = token if token.startswith("+") else f"+49 30 90{number}"
        customers += [[name, "", phone, "", "", "2026-01-01"]]
        users += [[token if token.startswith("U") else f"U{number}", name, "2026-01-01"]]
        consents += [["", phone, "", "sms", "opted_in", YES_AT]]
        if name != "nowhere":
            lines["consents"] += [f",{token},,,,,,,,,too,many"]
    for name, rows in (("shop/customers", customers), ("shop/orders", orders), ("shop/refunds", refunds), ("app/users", users)):
        write(raw, f"{name}.csv", rows)
    # every kind of blank comes whole through Parquet
    duckdb.execute(f"copy (from read_csv('{raw}/shop/customers.csv', all_varchar = true)) to '{raw}/shop/customers.parquet'")
    (raw / "shop/customers.csv").unlink()
    write(raw, "app/events.csv", ["event_id,user_id,event_name,occurred_at"])
    for name, rows in (("consents", consents), ("messages", messages), ("suppressions", suppressions)):
        write(raw, f"esp/{name}.csv", [*rows, *lines[name]])
    return raw


@pytest.fixture(scope="module")
def shop(shop_raw, shop_place):
    """The shop, built and tested as a whole: what it holds, and the tests that warn."""
    done = dbt("build", *NO_UNIT_TESTS, raw=shop_raw, warehouse=shop_place, variables=SHOP)
    opened = Warehouse(shop_place)
    channels = "select profiles.primary_customer_id, channel, can_contact from marts.customer_channels "
    channels = opened.rows(f"{channels} join intermediate.int_profiles as profiles using (person_id)")
    found = {
        "people": people(opened),
        "rejected": rejected(opened),
        "contact": {(name, channel): can for name, channel, can in channels},
        "nobody": opened.row("select count(*), sum(net_amount) from marts.orders where person_id is null"),
        "over": opened.rows("select order_id from marts.orders where is_over_refunded order by 1"),
        "net": dict(opened.rows("select order_id, net_amount from marts.orders")),
        "crowded": {row["email"]: row for row in opened.dicts("select * from intermediate.int_crowded_emails")},
        "unlinked": {email for (email,) in opened.rows("select email from intermediate.int_unlinked_emails")},
        "names": {name for (name,) in opened.rows("select first_name from marts.customers")},
        "remarks": opened.rows("select table_name, row_key, remark from intermediate.row_remarks where table_name = 'orders'"),
        "remarked": dict(opened.rows("select table_name, remarked_rows from marts.source_tables where remarked_rows > 0")),
        "warned": {line.split("WARN")[1].split()[1] for line in done.stdout.splitlines() if " WARN " in line and "[" in line},
    }
    opened.connection.close()
    return found


def test_a_crowded_address_is_one_persons_if_its_records_agree(shop):
    counts = {name: orders for name, (orders, _) in shop["people"].items()}
    assert counts["one0"] == 11 and counts["tel0"] == 11 and counts["guest@x.example"] == 11
    assert {counts[f"two{number}"] for number in range(11)} == {1}
    assert counts["few0"] == 11, "the one record with a name agrees with itself"
    assert counts["ten0"] == 0 and counts["regular@x.example"] == 10, "not above the limit"
    assert shop["nobody"] == (22, 110), "the market place's and the many buyers' orders are there, of nobody"
    assert shop["unlinked"] == {"two@x.example", "market@x.example", "names@x.example"}
    linked = {email for email, row in shop["crowded"].items() if row["is_one_person"]}
    assert linked == {"one@x.example", "tel@x.example", "guest@x.example", "few@x.example"}
    assert shop["crowded"]["market@x.example"]["reason"] == "on more than 10 records, without a name or phone"
    assert "Null" in shop["names"], "a name is never a word for none"


def test_what_is_no_address_links_nobody_and_blanks_are_none(shop):
    assert {f"none{number}" for number in range(5)} <= shop["people"].keys()
    assert [name for name in shop["people"] if name.startswith("ann")] == ["ann0"]


def test_signs_and_sums_of_refunds_and_discounts(shop):
    remedy = "negative; if refunds and discounts come so, declare source_settings.shop.negative_refunds"
    assert shop["rejected"]["orders p2"] == f"discount_amount: {remedy}"
    assert shop["rejected"]["refunds r2"] == f"amount: {remedy}"
    assert shop["over"] == [("p0",), ("p1",)]
    assert [shop["net"][key] for key in ("p0", "p1", "p3", "p4")] == [-10, -10, 25, 0]
    assert shop["net"]["p0"] == Decimal("-10.0000") and "p2" not in shop["net"]
    assert shop["remarks"] == [("orders", "p5", "gross_amount: more than four decimals, rounded half up")]
    assert shop["remarked"] == {"customers": 2, "orders": 1, "consents": 3, "suppressions": 1}


def test_no_no_is_lost(shop):
    assert {name: shop["contact"][name, "email"] for name in SAID} == {name: may for name, (_, may) in SAID.items()}
    assert {name: shop["contact"][name, "sms"] for name in TEXTED} == dict.fromkeys(TEXTED, False) | {"nowhere": True}


def test_what_is_odd_is_a_warning(shop):
    assert shop["warned"] == {
        "amounts_have_at_most_four_decimals",
        "no_order_is_over_refunded",
        "no_undated_no_overrides_a_yes",
        "noes_can_be_read",
        "times_of_consent_can_be_read",
    }


def test_the_guard_of_noes_reads_the_raw_data(shop, shop_raw, shop_place):
    """Whoever is let through in spite of a no that stands there is found, whatever lost it."""
    with duckdb.connect(str(shop_place)) as connection:
        connection.execute("update marts.customer_channels set can_contact = true where channel in ('email', 'sms')")
    test = ("test", "--select", "no_no_in_the_raw_data_is_lost", "--store-failures")
    done = dbt(*test, raw=shop_raw, warehouse=shop_place, variables=SHOP, check=False)
    assert done.returncode == 1
    opened = Warehouse(shop_place)
    query = "select distinct primary_customer_id from dbt_test__audit.no_no_in_the_raw_data_is_lost "
    found = {name for (name,) in opened.rows(f"{query} join intermediate.int_profiles using (person_id) where channel = 'email'")}
    opened.connection.close()
    # a row that is only unreadable is a no by int_unreadable_noes
    assert found == {name for name, (_, may) in SAID.items() if not may} - {"unreadable_row"}


# the shared cases

EMPTY = {
    "app/users": ["user_id", "created_at"],
    "app/events": ["event_id", "user_id", "event_name", "occurred_at"],
    "esp/consents": ["email", "channel", "status", "changed_at"],
    "esp/suppressions": ["email", "channel", "reason"],
}


@pytest.fixture
def read_cases(tmp_path, shop_place):
    """Build the marts of cases that share no id, in one raw folder; what they lack is empty, so that dbt need not parse anew."""
    opened = []

    def run(*names, **changes):
        headers, rows = {name: dict.fromkeys(header) for name, header in EMPTY.items()}, defaultdict(list)
        for path in (path for name in names for path in shared_case(name).glob("*/*.csv")):
            table = f"{path.parent.name}/{path.stem}"
            with path.open(newline="") as file:
                reader = csv.DictReader(file)
                headers.setdefault(table, {}).update(dict.fromkeys(reader.fieldnames))
                rows[table] += reader
        for table, header in headers.items():
            write(tmp_path, f"{table}.csv", [[*header], *([row.get(name) for name in header] for row in rows[table])])
        select = ("--select", "+customers", "+orders", "+customer_channels", "+rejected_rows", "int_crowded_emails")
        dbt("run", *select, raw=tmp_path, warehouse=shop_place, variables=SHOP | changes)
        opened.append(Warehouse(shop_place))
        return opened[-1]

    yield run
    for warehouse in opened:
        warehouse.connection.close()


def test_cases_30_and_31_money_and_addresses(read_cases):
    warehouse = read_cases("30", "31")
    expected = {"p1": "-10.00", "p2": "34.99", "p4": "14.00", "p5": "50.00", "p6": "0.00", "p9": "-10.00"}
    net = "select order_id, net_amount from marts.orders where order_id like 'p%'"
    assert dict(warehouse.rows(net)) == {key: Decimal(value) for key, value in expected.items()}
    assert warehouse.rows("select order_id from marts.orders where is_over_refunded order by 1") == [("p1",), ("p9",)]
    assert {"orders p8", "refunds r8"} == rejected(warehouse).keys()
    counts = {name: orders for name, (orders, _) in people(warehouse).items()}
    assert all(counts[f"n{number}"] == 1 for number in (1, 2, 3, 4)), "n/a is no address"
    assert counts["u1"] == 3 and "u2" not in counts
    assert {"v1", "v2", "w1", "w2", "i1", "m1", "m2", "z1", "q1", "q2"} <= counts.keys() and counts["z1"] == 2
    assert "i2" not in counts, "a domain and its punycode are one address"
    assert warehouse.row("select count(*), sum(gross_amount) from marts.orders where person_id is null") == (31, 609)
    (row,) = warehouse.dicts("select email, records, is_one_person from intermediate.int_crowded_emails")
    assert row == {"email": "orders@market.example", "records": 30, "is_one_person": False}


def test_case_30_where_refunds_and_discounts_come_negative(read_cases):
    warehouse = read_cases("30", source_settings={"shop": {"negative_refunds": True}})
    assert warehouse.row("select net_amount from marts.orders where order_id = 'p8'") == (-5,)
    assert rejected(warehouse) == {}


def test_cases_34_and_39_guests_with_new_ids_and_a_late_no(read_cases):
    warehouse = read_cases("34", "39")
    loyal = "select primary_customer_id, orders_count from marts.customers where is_loyal_customer order by 1"
    assert warehouse.rows(loyal) == [("r1", 10), ("s2", 11)]
    assert warehouse.rows("select distinct can_contact from marts.customer_channels") == [(False,)]


@pytest.mark.parametrize("name", ["06", "large_amounts"])
def test_cases_of_one_file(name, orders_place):
    dbt("run", "--select", "+customers", "+orders", raw=shared_case(name), warehouse=orders_place, variables=ORDERS)
    warehouse = Warehouse(orders_place)
    orders = warehouse.row("select count(*), sum(gross_amount) from marts.orders")
    of_customers = warehouse.row("select sum(net_revenue) from marts.customers")
    by_customer = {customer: count for customer, (count, _) in people(warehouse).items()}
    warehouse.connection.close()
    if name == "06":
        assert (orders, of_customers, by_customer["k0"]) == ((401, 9198), (9157,), 3)
    else:
        assert orders[0] == 2 and by_customer == {"ann": 1, "bob": 1}
