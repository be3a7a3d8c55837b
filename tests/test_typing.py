"""Raw values become what they are, or are rejected with the reason and the remedy: never silently something else."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from math import inf, nan

import pytest

from support import shared_case
from typed import Desk

CASES = {"reporting_currency": "EUR", "business_time_zone": "Europe/Berlin"}


@pytest.fixture(scope="module")
def desk():
    return Desk()


def values(found):
    return [value for value, *_ in found]


def reasons(found):
    return [reason for _, reason, _ in found]


def case(desk, name, settings=None, **variables):
    """The rows of a case's orders.csv, whatever its delimiter."""
    path = shared_case(name) / "orders.csv"
    rates = [("without_exchange_rate", "currency", "ordered_at")]
    query = f"select * from read_csv('{path}', all_varchar = true, header = true)"
    return desk.rows("orders_file.orders", query, settings and {"orders_file": settings}, rates, **CASES | variables)


def staged(rows, *columns):
    return sorted(tuple(row[column] for column in columns) for row in rows if row["row_status"] == "staged")


# times

SUMMER, WINTER = datetime(2026, 7, 1, 14, 30, 5), datetime(2026, 11, 10, 9, 50, 26)
INSTANTS = {  # by their own zone; Berlin is 2 hours ahead of UTC in July and 1 in November
    "2026-11-10 09:50:26 +0100": WINTER,
    "2026-11-10 09:50:26 +01:00": WINTER,
    "2026-11-10 08:50:26 UTC": WINTER,
    "2026-11-10 08:50:26 GMT": WINTER,
    "2026-11-10 08:50:26 +0000 UTC": WINTER,
    "2026-11-10 08:50:26.123456 UTC": WINTER.replace(microsecond=123456),
    "2026-11-10T08:50:26Z": WINTER,
    "2026-11-10T08:50:26.5Z": WINTER.replace(microsecond=500000),
    "2026-11-10T08:50:26,5 Z": WINTER.replace(microsecond=500000),
    "2026-11-10 03:50:26-05": WINTER,
    "2026-11-10 14:20:26+0530": WINTER,
    "2026/7/1 8:30:05 -04:00": SUMMER,
    "2026-07-01 12:30:05 UTC": SUMMER,
    "1782909005": SUMMER,
    "1782909005000": SUMMER,
    "1782909005000000": SUMMER,
    "1782909005.25": SUMMER.replace(microsecond=250000),
    "2026-10-25 02:30:00+02:00": datetime(2026, 10, 25, 2, 30),
    "2026-10-25T00:30:00Z": datetime(2026, 10, 25, 2, 30),
    "2026-10-25T01:30:00Z": datetime(2026, 10, 25, 2, 30),
    "2026-11-25 23:30:00 UTC": datetime(2026, 11, 26, 0, 30),
}
WALL_CLOCKS = {
    "2026-11-10": datetime(2026, 11, 10),
    "20261110": datetime(2026, 11, 10),
    "2026/11/10": datetime(2026, 11, 10),
    "2026.1.5": datetime(2026, 1, 5),
    "2026-11-10 09:50": datetime(2026, 11, 10, 9, 50),
    "2026-11-10T09:50:26": WINTER,
    "2026-11-10 9:50:26": WINTER,
    "2026-11-10 09:50:26.123456789": WINTER.replace(microsecond=123456),
    "2026-11-20 11:05:00 PM": datetime(2026, 11, 20, 23, 5),
    "2026-11-20 11:05 PM": datetime(2026, 11, 20, 23, 5),
    "2026-11-20 12:05 AM": datetime(2026, 11, 20, 0, 5),
    "2026-11-20 12:05 pm": datetime(2026, 11, 20, 12, 5),
    "2026/11/20 9:05a.m.": datetime(2026, 11, 20, 9, 5),
    "2026-11-10 24:00:00": datetime(2026, 11, 11),
}
NO_ZONE = "ordered_at: letters after the time that are no zone; Z, UTC, GMT and offsets such as +01:00 are"
TWO_DIGITS = "ordered_at: a year of two digits; export it with four"
EARLY = "ordered_at: before 1990-01-01 (earliest_plausible_date)"
OTHERWISE = "ordered_at: not a time that can be read"
NO_TIMES = {
    "2026-09-30 20:30:00 PST": NO_ZONE,
    "2026-09-30 20:30:00 EST5EDT": NO_ZONE,
    "2026-09-30 20:30:00 Europe/Berlin": NO_ZONE,
    "2026-11-20 13:05 PM": NO_ZONE,
    "11/02/26": TWO_DIGITS,
    "26-11-02": TWO_DIGITS,
    "2.11.26 9:50": TWO_DIGITS,
    "02 Nov 26": TWO_DIGITS,
    "11/10/2026": OTHERWISE,
    "10.11.2026": OTHERWISE,
    "6:56:00 PM": OTHERWISE,
    "2026-02-30": OTHERWISE,
    "2026-13-01": OTHERWISE,
    "0000-00-00 00:00:00": OTHERWISE,
    "2026-11-10 25:00": OTHERWISE,
    "2026-11-10 09:50:26+99:00": OTHERWISE,
    "45000": OTHERWISE,
    "17829090050": OTHERWISE,
    "infinity": OTHERWISE,
    "-infinity": OTHERWISE,
    "epoch": OTHERWISE,
    "now": OTHERWISE,
    "1970-01-01": EARLY,
    "1989-12-31 23:59:59.999999": EARLY,
    "0001-01-01": EARLY,
    "0600000000": EARLY,
}


@pytest.mark.parametrize("written", [INSTANTS, WALL_CLOCKS], ids=["with a zone", "without"])
def test_times_are_read_in_their_zone(desk, written):
    assert values(desk.orders("ordered_at", [*written])) == [*written.values()]


def test_what_is_no_time_is_rejected_with_the_reason(desk):
    found = desk.orders("ordered_at", [*NO_TIMES])
    assert all(reason.startswith(expected) for reason, expected in zip(reasons(found), NO_TIMES.values(), strict=True))
    assert "declare source_settings.orders_file.time_format" in reasons(desk.orders("ordered_at", ["11/10/2026"]))[0]


def test_the_earliest_day_is_a_variable_and_days_from_then_on_are_read(desk):
    assert reasons(desk.orders("ordered_at", ["1990-01-01 00:00", "1989-12-31"])) == [None, EARLY]
    found = desk.orders("ordered_at", ["1970-01-01", "1969-12-31"], earliest_plausible_date="1970-01-01")
    assert reasons(found) == [None, "ordered_at: before 1970-01-01 (earliest_plausible_date)"]


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("bigint", 1782909005, SUMMER),
        ("bigint", 1782909005000, SUMMER),
        ("bigint", 20261110, datetime(2026, 11, 10)),
        ("integer", 5, None),
        ("double", 1782909005.5, SUMMER.replace(microsecond=500000)),
        ("double", 1782909005000000.0, SUMMER),
        ("decimal(18, 3)", Decimal("1782909005.250"), SUMMER.replace(microsecond=250000)),
        ("date", date(2026, 11, 10), datetime(2026, 11, 10)),
        ("timestamp", WINTER, WINTER),
        ("timestamp_ms", WINTER, WINTER),
        ("boolean", True, None),
        ("double", inf, None),
    ],
)
def test_times_of_other_types_than_text_are_read(desk, kind, given, expected):
    ((value, reason, _),) = desk.orders("ordered_at", [given], kind=kind)
    assert value == expected and (reason is None) == (expected is not None)


def test_a_source_can_say_in_which_zone_it_writes(desk):
    """A time with an offset keeps it, and a bare date is that day in any zone."""
    written = {
        "2026-11-10 23:50:26": datetime(2026, 11, 11, 0, 50, 26),
        "2026/11/10 11:50 PM": datetime(2026, 11, 11, 0, 50),
        "10.11.2026 23:50": datetime(2026, 11, 11, 0, 50),
        "2026-11-10 23:50:26+01:00": datetime(2026, 11, 10, 23, 50, 26),
        "2026-11-10": datetime(2026, 11, 10),
        "20261110": datetime(2026, 11, 10),
    }
    settings = {"time_zone": "UTC", "time_format": "dd.mm.yyyy hh:mm"}
    assert values(desk.orders("ordered_at", [*written], settings)) == [*written.values()]
    late = {"time_zone": "America/New_York"}
    assert values(desk.orders("ordered_at", [WINTER], late, kind="timestamp")) == [WINTER + timedelta(hours=6)]
    column = {"name": "x", "data_type": "timestamp", "config": {"meta": {"utc": True}}}
    expression = desk.macros["typed_value"]("'2026-07-01 12:30:05'", column, "VARCHAR")
    assert desk.query(f"select {expression}") == [(SUMMER,)]


@pytest.mark.parametrize(("unit", "text"), [("s", "900000000"), ("ms", "900000000000"), ("us", "900000000000000")])
def test_a_column_can_say_what_its_digits_count(desk, unit, text):
    column = {"name": "x", "data_type": "timestamp", "config": {"meta": {"epoch": unit}}}
    for value, kind in ((f"'{text}'", "VARCHAR"), (text, "BIGINT")):
        assert desk.query(f"select {desk.macros['typed_value'](value, column, kind)}") == [(datetime(1998, 7, 9, 18, 0),)]


@pytest.mark.parametrize(
    ("pattern", "written", "expected"),
    [
        ("dd.mm.yyyy", "10.11.2026", datetime(2026, 11, 10)),
        ("d.m.yyyy", "1.2.2026", datetime(2026, 2, 1)),
        ("mm/dd/yyyy", "11/26/2026", datetime(2026, 11, 26)),
        ("dd/mm/yyyy hh:mm", "01/02/2026 9:05", datetime(2026, 2, 1, 9, 5)),
        ("mm/dd/yyyy hh:mm:ss am", "11/02/2026 11:05:07 PM", datetime(2026, 11, 2, 23, 5, 7)),
        ("dd mon yyyy, hh:mm", "02 Nov 2026, 09:05", datetime(2026, 11, 2, 9, 5)),
        ("yyyy-dd-mm", "2026-10-11", datetime(2026, 11, 10)),
        (["dd.mm.yyyy", "dd.mm.yyyy hh:mm"], "10.11.2026 09:50", datetime(2026, 11, 10, 9, 50)),
        ("dd.mm.yyyy", "2026-11-10 09:50:26", WINTER),
    ],
)
def test_a_declared_format_is_read_beside_the_usual_ones(desk, pattern, written, expected):
    assert desk.orders("ordered_at", [written], {"time_format": pattern}) == [(expected, None, None)]


def test_a_declared_format_reads_nothing_else(desk):
    found = desk.orders("ordered_at", ["31.02.2026", "10.11.26", "10/11/2026"], {"time_format": "dd.mm.yyyy"})
    assert all(reasons(found)) and values(found) == [None, None, None]


def test_shopifys_times_case_01(desk):
    rows = staged(case(desk, "01"), "customer_id", "ordered_at")
    assert rows == [(f"c{n}", datetime(2026, 11, 10 + n, 9, 50, 26)) for n in range(10)]


def test_zones_and_half_days_case_02(desk):
    rows = case(desk, "02")
    assert staged(rows, "customer_id", "ordered_at", "amount") == [
        ("b0", datetime(2026, 10, 1, 1, 30), 10),
        ("b1", datetime(2026, 11, 1, 0, 30), 10),
        ("b2", datetime(2026, 11, 26, 0, 30), 10),
        ("b3", datetime(2026, 10, 1, 1, 30, 0, 123456), 10),
        ("b5", datetime(2026, 11, 20, 23, 5), 10),
        ("b6", datetime(2026, 11, 20, 0, 5), 10),
        ("x", datetime(2026, 11, 20, 9, 5), 2),
        ("x", datetime(2026, 11, 20, 23, 5), 1),
    ]
    assert [(row["customer_id"], row["reject_reason"]) for row in rows if row["row_status"] == "rejected"] == [("b4", NO_ZONE)]


def test_stray_years_case_38(desk):
    rows = case(desk, "38")
    assert sorted(row["reject_reason"] for row in rows if row["row_status"] == "rejected") == [TWO_DIGITS, EARLY]
    assert len(rows) == 303 and len({row["ordered_at"].replace(day=1) for row in rows if row["row_status"] == "staged"}) == 7


def test_american_dates_case_o04(desk):
    rows = case(desk, "o04")
    assert {row["row_status"] for row in rows} == {"rejected"}
    assert all(OTHERWISE in row["reject_reason"] and "time_format" in row["reject_reason"] for row in rows)
    rows = staged(case(desk, "o04", {"time_format": "mm/dd/yyyy"}), "customer_id", "ordered_at")
    assert rows == [(f"c{n}", datetime(2026, 11, 10 + n)) for n in range(10)]


# numbers

DECIMAL_COMMA = "a decimal comma; declare source_settings.orders_file.decimal"
EITHER = "a comma, for decimals or between thousands; declare source_settings.orders_file.decimal or .thousands"
THOUSANDS = "thousands separators; declare source_settings.orders_file.thousands"
BOTH = "thousands separators and a decimal comma; declare source_settings.orders_file.thousands and .decimal"
CURRENCY = "a currency beside the number; declare source_settings.orders_file.currency_signs"
BEYOND = "beyond 1,000,000,000,000"


def test_plain_numbers_are_read(desk):
    written = {"10.50": "10.5", "-50": "-50", "1e3": "1000", "+12": "12", " 7 ": "7", "-0": "0", ".5": "0.5", "5.": "5"}
    assert values(desk.orders("amount", [*written])) == [*map(Decimal, written.values())]


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("10,50", DECIMAL_COMMA),
        ("1234,5", DECIMAL_COMMA),
        (",5", DECIMAL_COMMA),
        ("1,234", EITHER),
        ("1,234.50", THOUSANDS),
        ("1,234,567", THOUSANDS),
        ("1.234.567", THOUSANDS),
        ("1 234", THOUSANDS),
        ("1'234.50", THOUSANDS),
        ("1\u202f234.50", THOUSANDS),
        ("1.234,50", BOTH),
        ("1 234,50", BOTH),
        ("€ 10.50", CURRENCY),
        ("10.50€", CURRENCY),
        ("$1,234.50", CURRENCY),
        ("EUR 10.50", CURRENCY),
        ("10,50 eur", CURRENCY),
        ("1_000", "not a number"),
        ("0x10", "not a number"),
        ("NaN", "not a number"),
        ("inf", "not a number"),
        ("-Infinity", "not a number"),
        ("(10.00)", "not a number"),
        ("10.00-", "not a number"),
        ("ten", "not a number"),
        ("1e15", BEYOND),
        ("99999999999999999", BEYOND),
        ("1000000000000.0001", BEYOND),
        ("-1000000000001", BEYOND),
    ],
)
def test_what_is_no_number_is_rejected_with_the_remedy(desk, written, reason):
    assert reasons(desk.orders("amount", [written])) == [f"amount: {reason}"]


@pytest.mark.parametrize(
    ("settings", "written"),
    [
        ({"decimal": ","}, {"10,50": "10.5", "-1234,5": "-1234.5", "7": "7", "10.50": None, "1.234,50": None, "1,2,3": None}),
        (
            {"decimal": ",", "thousands": "."},
            {"1.234,50": "1234.5", "1.234.567": "1234567", "1234,5": "1234.5", "1.234": "1234", "1.23": None, "12.34,5": None},
        ),
        (
            {"thousands": ","},
            {"1,234.50": "1234.5", "12,345,678": "12345678", "10.5": "10.5", "10,50": None, "1,2345": None, ",123": None},
        ),
        ({"decimal": ",", "thousands": " "}, {"1 234,50": "1234.5", "1\u202f234,5": "1234.5", "1\u00a0234": "1234", "1 23": None}),
        ({"thousands": "'"}, {"1'234.50": "1234.5", "1\u2019234": "1234", "1'23": None}),
        (
            {"currency_signs": ["€", "EUR", "kr."], "decimal": ","},
            {
                "€ 10,50": "10.5",
                "10,50 €": "10.5",
                "-€10,50": "-10.5",
                "€-10,50": "-10.5",
                "EUR\u00a010,50": "10.5",
                "10,50 kr.": "10.5",
                "10,50": "10.5",
                "$10,50": None,
                "10€50": None,
                "10,50 USD": None,
            },
        ),
    ],
)
def test_numbers_are_read_as_declared_and_only_so(desk, settings, written):
    found = desk.orders("amount", [*written], settings)
    assert values(found) == [expected and Decimal(expected) for expected in written.values()]
    rejected = [reason for reason in reasons(found) if reason]
    assert rejected and all("source_settings.orders_file" in reason for reason in rejected)


@pytest.mark.parametrize(
    ("kind", "given"),
    [("boolean", True), ("date", date(2026, 1, 1)), ("integer[]", [1]), ("struct(a integer)", {"a": 1}), ("blob", b"1")],
)
def test_other_types_are_no_amounts(desk, kind, given):
    ((value, reason, _),) = desk.orders("amount", [given], kind=kind)
    assert value is None and reason.startswith("amount: the file holds a ") and reason.endswith(" there, which is no number")


def test_more_than_four_decimals_are_rounded_half_up_and_told(desk):
    written = {"12.345678": "12.3457", "0.00005": "0.0001", "-0.00005": "-0.0001", "1e-5": "0", "12.34560": "12.3456"}
    found = desk.orders("amount", [*written])
    remark = "amount: more than four decimals, rounded half up"
    assert found == [
        *((Decimal(value), None, remark) for value in [*written.values()][:4]),
        (Decimal("12.3456"), None, None),
    ]
    assert desk.orders("amount", ["1,23456", "1,2345"], {"decimal": ","}) == [
        (Decimal("1.2346"), None, remark),
        (Decimal("1.2345"), None, None),
    ]
    told = [remark is not None for *_, remark in desk.orders("amount", [10.1, 0.1 + 0.2, 1234567.8901, 0.00005], kind="double")]
    assert told == [False, False, False, True]
    assert reasons(desk.orders("amount", [nan, inf, 1e13], kind="double")) == [
        "amount: not a number",
        "amount: not a number",
        f"amount: {BEYOND}",
    ]


def test_a_trillion_of_any_currency_is_read(desk):
    for text in ("1000000000000", "-1000000000000.0000", "1e12"):
        assert desk.orders("amount", [text]) == [(Decimal(text), None, None)]


def test_negative_refunds_and_discounts_are_as_the_source_declares(desk):
    shop = {"table": "shop.orders"}
    negative = "discount_amount: negative; if refunds and discounts come so, declare source_settings.shop.negative_refunds"
    assert desk.orders("discount_amount", ["5", "-5", "-0", None], **shop) == [
        (5, None, None),
        (-5, negative, None),
        (0, None, None),
        (None, None, None),
    ]
    assert values(desk.orders("discount_amount", ["5", "-5"], {"negative_refunds": True}, **shop)) == [5, 5]


def test_minor_units_are_units_of_their_currency(desk):
    desk.declared["shop.orders"]["columns"]["gross_amount"]["config"]["meta"]["minor_units"] = True
    try:
        query = "select currency as order_id, 'c' as customer_id, '2026-11-10' as ordered_at, gross_amount, currency from (values "
        query += "('1050', 'EUR'), ('1050', ' jpy '), ('1050', 'KWD'), ('10501', 'CLF'), ('7', null)) as t (gross_amount, currency)"
        rows = desk.rows("shop.orders", query)
    finally:
        del desk.declared["shop.orders"]["columns"]["gross_amount"]["config"]["meta"]["minor_units"]
    amounts = {row["order_id"]: row["gross_amount"] for row in rows if row["order_id"]}
    assert amounts == {"EUR": Decimal("10.5"), "jpy": 1050, "KWD": Decimal("1.05"), "CLF": Decimal("1.0501")}


def test_a_currency_without_a_rate_is_named_with_the_seed_case_10(desk):
    missing = "currency: no rate from {} to EUR up to that month; add it to seeds/exchange_rates.csv"
    unreadable = "currency: not a code of three letters such as EUR; export ISO 4217 codes, which seeds/exchange_rates.csv has"
    written = {"JPY": missing.format("JPY"), "kwd ": missing.format("KWD"), "US Dollar": unreadable, "€": unreadable, " eur\t": None, "usd": None}
    assert reasons(desk.orders("currency", [*written])) == [*written.values()]
    assert reasons(desk.orders("currency", ["EUR", "usd"], reporting_currency=" usd")) == [missing.format("EUR").replace("to EUR", "to USD"), None]
    rows = case(desk, "10")
    assert sorted(row["reject_reason"] for row in rows if row["reject_reason"]) == sorted(
        [missing.format("JPY"), missing.format("KWD"), unreadable]
    )


def test_decimal_commas_case_o01(desk):
    rows = case(desk, "o01")
    assert {row["reject_reason"] for row in rows} == {f"amount: {DECIMAL_COMMA}"}
    rows = staged(case(desk, "o01", {"decimal": ","}), "customer_id", "amount")
    assert rows == [(f"c{n}", Decimal(10 + n) + Decimal("0.5")) for n in range(10)]


def test_large_amounts_case(desk):
    assert staged(case(desk, "large_amounts"), "customer_id", "amount") == [("ann", 1500000), ("bob", 10000000)]


# ids


def test_words_for_none_are_no_ids_and_0_only_where_declared(desk):
    words = ["NULL", "null", "None", "NaN", "nan", "\\N", "N/A", "n/a", "-", "undefined", " Null\t", "", "\u200b"]
    assert values(desk.orders("customer_id", words)) == [None] * len(words)
    kept = ["0", "0.0", "00", "nobody", "NA", "Nullinger", "--"]
    assert values(desk.orders("customer_id", kept)) == ["0", "0", "00", "nobody", "NA", "Nullinger", "--"]
    settings = {"zero_is_no_id": True, "null_words": ["Nobody"]}
    assert values(desk.orders("customer_id", kept, settings)) == [None, None, "00", None, "NA", "Nullinger", "--"]
    assert values(desk.orders("customer_id", ["null"], settings)) == [None]


def test_an_order_id_that_is_no_id_is_missing(desk):
    query = "select 'None' as order_id, 'c' as customer_id, '2026-11-10' as ordered_at, '1' as gross_amount"
    assert [row["reject_reason"] for row in desk.rows("shop.orders", query)] == ["order_id: missing"]


def test_names_are_never_words_for_none(desk):
    query = "select '7' as customer_id, 'Jennifer' as first_name, 'Null' as last_name, 'n/a' as email, '-' as phone, '2026-01-01' as created_at"
    ((row),) = desk.rows("shop.customers", query)
    assert [row[name] for name in ("first_name", "last_name", "email", "phone")] == ["Jennifer", "Null", None, None]


def test_ids_are_one_whatever_a_program_made_of_them(desk):
    written = {"1000.0": "1000", "1000.00": "1000", "1000": "1000", "01000": "01000", "A\t": "A", "\u00a0A\u2003": "A", "\ufeffA": "A", "1.5": "1.5"}
    assert values(desk.orders("customer_id", [*written])) == [*written.values()]
    assert values(desk.orders("customer_id", [1000.0, 1.5, nan, 1e17], kind="double")) == ["1000", "1.5", None, "100000000000000000"]
    assert values(desk.orders("customer_id", [0, 7], {"zero_is_no_id": True}, kind="bigint")) == [None, "7"]
    assert values(desk.orders("customer_id", [Decimal("1000.00")], kind="decimal(10, 2)")) == ["1000"]


def test_shortened_numbers_are_told(desk):
    found = desk.orders("customer_id", ["1.23457E+11", "1,2e+10", "123457", "E+11", "A1E+11"])
    assert [bool(remark) for *_, remark in found] == [True, True, False, False, False] and reasons(found) == [None] * 5
    found = desk.orders("customer_id", [1e15, 2.0**53, 12345678901234567890.0], kind="double")
    assert [bool(remark) for *_, remark in found] == [False, True, True]
    phone = "select '7' as customer_id, '4.91701E+11' as phone, '2026-01-01' as created_at"
    ((row),) = desk.rows("shop.customers", phone)
    assert row["phone"] is None and row["row_remark"].startswith("phone: damaged")


def test_words_for_none_case_08(desk):
    customers = [customer for (customer,) in staged([row | {"customer_id": row["customer_id"] or ""} for row in case(desk, "08")], "customer_id")]
    assert customers == [""] * 11 + ["0"] * 3 + ["ann"]
    rows = case(desk, "08", {"zero_is_no_id": True})
    assert sum(row["customer_id"] is None for row in rows) == 14 and len(rows) == 15


def test_ids_from_a_spreadsheet_case_09(desk):
    rows = case(desk, "09")
    ids = sorted({row["customer_id"] for row in rows})
    assert ids == sorted(["1.23457E+11", "00123", "123", "A", '="0503"', "'0503", "0503"])
    assert [row["customer_id"] for row in rows if row["row_remark"]] == ["1.23457E+11"] * 2


@pytest.mark.parametrize("instance", ["berlin", None])
def test_ids_of_one_of_several_instances_say_which(desk, instance):
    """Those of another system do not: app.users.customer_id is the shop's."""
    name = f"'{instance}'" if instance else "cast(null as varchar)"
    prefix = f"{instance}:" if instance else ""
    query = f"select {name} as instance, '1' as user_id, '2.0' as customer_id, 'a@x.example' as email, '2026-01-01' as created_at"
    ((row),) = desk.rows("app.users", query)
    assert [row[key] for key in ("user_id", "row_key", "customer_id", "email")] == [f"{prefix}1", f"{prefix}1", "2", "a@x.example"]
    query = f"select {name} as instance, null as order_id, 'c' as customer_id, '2026-11-10' as ordered_at, '1' as amount"
    both = desk.rows("orders_file.orders", f"{query} union all {query.replace(name, repr('paris'))}")
    assert len({row["row_key"] for row in both}) == 2 and {row["customer_id"] for row in both} == {f"{prefix}c", "paris:c"}


def test_an_instance_has_settings_of_its_own(desk):
    query = "select * from (values ('berlin', '1.234,50', '-'), ('paris', '1 234,50', 'rien'), ('london', '1,234.50', 'rien')) "
    query = f"select instance, instance as order_id, customer_id, '2026-11-10' as ordered_at, amount from ({query} as t (instance, amount, customer_id))"
    settings = {
        "thousands": ",",
        "instances": {"berlin": {"decimal": ",", "thousands": "."}, "paris": {"decimal": ",", "thousands": " ", "null_words": ["rien"]}},
    }
    rows = {row["row_key"]: row for row in desk.rows("orders_file.orders", query, {"orders_file": settings})}
    assert {key: (row["amount"], row["customer_id"]) for key, row in rows.items()} == {
        "berlin:berlin": (Decimal("1234.5"), None),
        "paris:paris": (Decimal("1234.5"), None),
        "london:london": (Decimal("1234.5"), "london:rien"),
    }


# rows


def test_an_order_id_with_a_sale_and_refunds_keeps_them_all(desk):
    rows = [("5000", "2026-06-01", "20"), ("5000", "2026-06-01", "-20"), ("5001", "2026-06-02", "30"), ("5001", "2026-06-03", "-10")]
    rows += [("5001", "2026-06-04", "-10"), ("5001", "2026-06-04", "-10"), ("5002", "2026-06-05", "7"), ("5002", "2026-06-05", "8")]
    query = f"select * from (values {', '.join(map(str, rows))}) as t (order_id, ordered_at, amount)"
    found = desk.rows("orders_file.orders", query)
    assert staged(found, "order_id", "amount") == [("5000", -20), ("5000", 20), ("5001", -10), ("5001", -10), ("5001", 30), ("5002", 7)]
    assert [row["row_status"] for row in found if row["order_id"] == "5002" and row["amount"] == 8] == ["rejected"]
    assert sum(row["row_status"] == "duplicate" for row in found) == 1


@pytest.mark.parametrize("order", ["amount", "amount desc"])
def test_of_two_versions_of_one_time_the_same_counts_in_any_order_of_rows(desk, order):
    """The one whose values, written as one text, come first; a later time wins over both."""
    versions = "(values ('a', 7, '2026-01-01'), ('a', 8, '2026-01-01'), ('b', 7, '2026-01-01'), ('b', 8, '2026-01-02'), ('c', 7, null), "
    versions += "('c', 8, '2026-01-01')) as t (order_id, amount, updated_at)"
    query = f"select order_id, '2026-01-01' as ordered_at, cast(amount as varchar) as gross_amount, updated_at from {versions} order by {order}"
    rows = desk.rows("shop.orders", query)
    assert staged(rows, "order_id", "gross_amount") == [("a", 7), ("b", 8), ("c", 8)]
    assert sum(row["row_status"] == "duplicate" for row in rows) == 3


def test_a_no_without_a_date_says_nothing_only_where_declared(desk):
    query = "select * from (values ('a', 'opted_out', null), ('b', 'opted_out', '2026-01-01'), ('c', 'opted_out', 'then'), ('d', 'opted_in', null), "
    query += "('e', null, null)) as t (email, status, changed_at)"
    query = f"select email || '@x.example' as email, 'email' as channel, status, changed_at from ({query})"
    as_said = {row["email"][0]: row["status"] for row in desk.rows("esp.consents", query)}
    assert as_said == {"a": "opted_out", "b": "opted_out", "c": "opted_out", "d": "opted_in", "e": None}
    silent = {row["email"][0]: row["status"] for row in desk.rows("esp.consents", query, {"esp": {"undated_no": "silence"}})}
    assert silent == as_said | {"a": "silence", "e": "silence"}


def test_a_time_of_consent_that_cannot_be_read_is_unknown_and_told(desk):
    written = ["2026-01-01 10:00 UTC", "soon", "1970-01-01", None]
    rows = ", ".join(f"('{number}', {value!r})" if value else f"('{number}', null)" for number, value in enumerate(written))
    query = f"select user_id, 'email' as channel, 'opted_out' as status, changed_at from (values {rows}) as t (user_id, changed_at)"
    found = sorted(desk.rows("esp.consents", query), key=lambda row: row["user_id"])
    assert [row["changed_at_utc"] for row in found] == [datetime(2026, 1, 1, 10), None, None, None]
    assert [row["row_status"] for row in found] == ["staged"] * 4
    assert [bool(row["row_remark"]) for row in found] == [False, True, True, False]


# settings


GOOD = [
    {},
    {"decimal": ",", "thousands": "."},
    {"thousands": "'", "currency_signs": ["CHF"]},
    {"time_format": ["dd.mm.yyyy", "dd.mm.yyyy hh:mm"], "time_zone": "America/New_York"},
    {"null_words": ["unknown"], "zero_is_no_id": True, "negative_refunds": False, "undated_no": "silence"},
    {"instances": {"berlin": {"decimal": ","}}},
]
BAD = [
    ({"decimal": ";"}, ".decimal: ';' must be ',' or '.'"),
    ({"thousands": "."}, ".thousands: '.' cannot stand for thousands and decimals; set decimal too"),
    ({"thousands": "_"}, ".thousands: '_' must be ',' or '.' or an apostrophe or a blank"),
    ({"time_format": "dd.mm.yy"}, ".time_format: 'dd.mm.yy' must be a pattern of yyyy, mm or mon, dd, hh, mm, ss and am"),
    ({"time_format": "%d.%m.%Y"}, ".time_format: '%d.%m.%Y' must be a pattern"),
    ({"time_format": "hh:mm"}, ".time_format: 'hh:mm' must be a pattern"),
    ({"time_zone": "CET+1"}, ".time_zone: 'CET+1' is no IANA time zone"),
    ({"null_words": "unknown"}, ".null_words: a list of texts is needed, such as ['unknown']"),
    ({"currency_signs": ["\\E"]}, ".currency_signs: a list of texts is needed, without digits, quotes and backslashes, such as ['€', 'EUR']"),
    ({"currency_signs": ["1"]}, ".currency_signs: a list of texts is needed, without digits, quotes and backslashes, such as ['€', 'EUR']"),
    ({"zero_is_no_id": "yes"}, ".zero_is_no_id: 'yes' must be true or false"),
    ({"negative_refunds": 1}, ".negative_refunds: '1' must be true or false"),
    ({"undated_no": "no"}, ".undated_no: 'no' must be silence, or left out: then a no without a date is a no"),
    ({"links_to": "shopify"}, ".links_to: 'shopify' must be a shop that is read (orders_file), or an instance of it"),
    ({"instances": ["berlin"]}, ".instances: settings by instance are needed, such as {berlin: {decimal: ','}}"),
    ({"instances": {"berlin": {"instances": {}}}}, ".instances.berlin: unknown setting 'instances'"),
    ({"null_word": ["x"]}, ": unknown setting 'null_word'; did you mean 'null_words'?"),
    ({"xyz": 1}, ": unknown setting 'xyz'; known: currency_signs, decimal, instances, links_to, negative_refunds, "),
    ([], ": settings are needed, such as {decimal: ','}"),
]


@pytest.mark.parametrize("settings", GOOD, ids=str)
def test_settings_that_can_be(desk, settings):
    assert desk.problems({"orders_file": settings, "orders_from": "orders_file"}) == []


@pytest.mark.parametrize(("settings", "problem"), BAD, ids=str)
def test_settings_that_cannot_be_say_so_in_one_line(desk, settings, problem):
    (said,) = desk.problems({"orders_file": settings})
    assert said.startswith(f"variable source_settings.orders_file{problem}") and "\n" not in said


def test_sources_that_nobody_knows_are_named(desk):
    assert desk.problems({"order_file": {}}) == ["variable source_settings.order_file: no such source; did you mean 'orders_file'?"]
    (said,) = desk.problems({"orders_from": ["stripe"]})
    assert said.startswith("variable source_settings.orders_from: unknown source 'stripe'; known: app, canonical, esp, klaviyo, mailchimp, online_retail, ")
    assert desk.problems("decimal") == ["variable source_settings: settings by source are needed, such as {orders_file: {decimal: ','}}"]


@pytest.mark.parametrize(
    ("text", "is_day"),
    [
        *((text, True) for text in ("2026-02-28", "2024-02-29", "2000-02-29", "2026-12-31", "0001-01-01")),
        *((text, False) for text in ("2026-02-29", "2026-02-30", "1900-02-29", "2026-04-31", "2026-13-01", "20261231", "")),
    ],
)
def test_a_day_is_one_of_the_calendar(desk, text, is_day):
    assert desk.macros["is_day"](text) == is_day
