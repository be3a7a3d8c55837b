"""What vendors really take: nothing in clear that should be hashed, nobody merged or lost, every fact as data."""

import csv
import io
import json
import re
import shutil
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audience_export import config, files, rows
from published import person, sha256, suppression
from shop import EVERY, OPEN, ROOT, RUN, SPECS

LATER, RUN2 = "2026-11-22T07:00:00", "20261122T070000Z"
LATEST, RUN3 = "2026-11-22T08:00:00", "20261122T080000Z"
HASH = re.compile("[0-9a-f]{64}")
ATTEST = ["ad_user_data", "ad_personalization"]


def read(shop, path, run=RUN, delimiter=","):
    return list(csv.DictReader(io.StringIO(shop.file(path, run).read_text("utf-8"), newline=""), delimiter=delimiter))


def quarantined(shop, run=RUN):
    return {(row["person_id"], row["field"], row["rule"]) for row in read(shop, "quarantine.csv", run)}


# ---- nothing in clear ----

OWN = {"format": "csv", "own_fields": True, "hash": ["email", "secret"], "channels": {"email": {"identifiers": {"email": "email"}}}}
FORMATS = {"csv": {}, "jsonl": {"format": "jsonl"}, "parquet": {"format": "parquet"},
           "payload": {"payload": {"column": "DATA", "updated_at": "AT"}, "modes": ["delta"]}}
moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(lambda at: at.replace(microsecond=0))
TYPES = {
    "integer": st.integers(-2**31, 2**31 - 1), "utinyint": st.integers(0, 255), "hugeint": st.integers(-10**37, 10**37),
    "decimal(9, 2)": st.decimals(-9999999, 9999999, places=2), "decimal(18, 4)": st.decimals(-99999999, 99999999, places=4),
    "double": st.floats(), "float": st.floats(width=32), "boolean": st.booleans(), "date": st.dates(), "timestamp": moments,
    "timestamptz": moments.map(lambda at: at.replace(tzinfo=UTC)), "uuid": st.uuids(),
    "enum('f', 'm', 'x y')": st.sampled_from(["f", "m", "x y"]),
    "varchar": st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")) | st.sampled_from(["", " ", "a" * 64, "02134"]),
}
KINDS = [[], ["digits"], ["zip"], ["country", "lower"], ["state"], ["gender"], ["bare_name"], ["name"], ["letters"], ["upper"]]


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.fixed_dictionaries({kind: st.lists(st.none() | values, min_size=8, max_size=8) for kind, values in TYPES.items()}),
       st.lists(st.sampled_from(KINDS), min_size=len(TYPES), max_size=len(TYPES)))
def test_no_hashed_column_ever_holds_anything_else(shop, drawn, kinds):
    """Of every type, through every normaliser, into every format: 64 hex digits or nothing."""
    columns = {f"x{i}": (kind, values) for i, (kind, values) in enumerate(drawn.items())}
    shutil.rmtree(shop.folder / "exports", ignore_errors=True)
    shop.publish([person(f"p{i}", f"p{i}@example.com") for i in range(8)], [], columns=columns)
    spec = {**OWN, "hash": ["email", *columns], "normalise": dict(zip(columns, kinds, strict=True))}
    shop.configure({name: {"channel": "email", "audiences": ["at_risk"], "fields": [*columns]} for name in FORMATS},
                   specs={name: {**spec, **more} for name, more in FORMATS.items()})
    done = shop()
    assert done.returncode in (0, 5), done.stderr
    table = duckdb.connect().execute(f"from '{shop.file('parquet/at_risk.parquet')}'")
    names = [column[0] for column in table.description]
    found = {"csv": [{name: cell or None for name, cell in row.items()} for row in read(shop, "csv/at_risk.csv")],
             "jsonl": [json.loads(line) for line in shop.file("jsonl/at_risk.jsonl").read_text().splitlines()],
             "parquet": [dict(zip(names, row, strict=True)) for row in table.fetchall()],
             "payload": [{"email": row["email"], **json.loads(row["DATA"])} for row in read(shop, "payload/at_risk.added.csv")]}
    for name, people in found.items():
        assert len(people) == 8
        for one in people:
            one.pop("in_at_risk", None)
            assert all(cell is None or HASH.fullmatch(cell) for cell in one.values()), (name, one)
            assert one.keys() == {"email", *columns} and sha256("") not in one.values()
    ordered = [sorted(people, key=lambda one: one["email"]) for people in found.values()]
    assert all(people == ordered[0] for people in ordered), "one value, one hash, whatever the format"


@pytest.mark.parametrize(("kind", "value", "hashed"), [
    ("integer", 94016, "94016"), ("date", date(1980, 2, 29), "1980-02-29"), ("decimal(18, 4)", Decimal("12.3400"), "12.34"),
    ("double", 1e-5, "0.00001"), ("boolean", True, "true"), ("timestamp", datetime(2026, 1, 2, 3, 4, 5), "2026-01-02 03:04:05"),
    ("varchar", "02134", "02134")])
def test_what_is_hashed_is_the_text_that_people_write(shop, kind, value, hashed):
    shop.publish([person("a", "a@example.com")], [], columns={"secret": (kind, [value])})
    shop.configure({"own": {"channel": "email", "audiences": ["at_risk"], "fields": ["secret"]}}, specs={"own": OWN})
    shop(code=0)
    assert read(shop, "own/at_risk.csv") == [{"email": sha256("a@example.com"), "secret": sha256(hashed)}]


@pytest.mark.parametrize("kind", ["integer[]", "struct(a integer)", "blob", "time", "interval"])
def test_what_is_no_single_value_is_refused(shop, kind):
    shop.publish([person("a", "a@example.com")], [], columns={"secret": (kind, [None])})
    shop.configure({"own": {"channel": "email", "audiences": ["at_risk"], "fields": ["secret"]}}, specs={"own": OWN})
    assert "'secret' is" in shop(code=2).stderr


@pytest.mark.parametrize("payload", [False, True])
def test_the_file_is_read_back_for_columns_in_clear(shop, tmp_path, payload):
    """Whatever the type with which it was written."""
    spec = {**OWN, **(FORMATS["payload"] if payload else {})}
    shop.configure({"own": {"channel": "email", "audiences": ["at_risk"], "fields": ["secret"]}}, specs={"own": spec})
    delivery = config.load(tmp_path / "destinations.yml")[0][0]
    path = tmp_path / "at_risk.csv"
    with duckdb.connect() as con:
        for secret, kind in [("94016", "INTEGER"), ("94016", "VARCHAR"), (sha256("94016"), "VARCHAR")]:
            text = f'DATA,{sha256("a@b.com")},2026-01-01T00:00:00Z,"{{""secret"": ""{secret}""}}"' if payload else f"{sha256('a@b.com')},{secret}"
            header = "email,AT,DATA" if payload else "email,secret"
            path.write_text(f"{header}\n{text.removeprefix('DATA,')}\n")
            types = {name: "VARCHAR" for name in header.split(",")} | ({} if payload else {"secret": kind})
            fields = {"email": ("VARCHAR", ""), "secret": (kind, "")}
            if secret == "94016":
                with pytest.raises(config.Problem, match="secret must be a lower-case SHA-256") as error:
                    files.lint(con, path, delivery, types, "audience", fields)
                assert "94016" not in str(error.value)
            else:
                assert files.lint(con, path, delivery, types, "audience", fields) == 1


CLEAR = {
    "a hash of what there is not": ({"hash": ["email", "fist_name"]}, {}, "hash: there is no column 'fist_name'; did you mean 'first_name'?"),
    "normalised what there is not": ({"normalise": {"e-mail": "gmail"}}, {}, "normalise: there is no column 'e-mail'; did you mean 'email'?"),
    "a form of what there is not": ({"forms": {"birth_dat": "%m/%d"}}, {}, "forms: there is no column 'birth_dat'; did you mean 'birth_date'?"),
    "a header of what there is not": ({"headers": {"fist_name": "fn"}}, {}, "headers: there is no column 'fist_name'"),
    "a form in the delivery": ({}, {"forms": {"last_oder_date": "%Y"}}, "did you mean 'last_order_date'?"),
    "a rule that there is not": ({"refuse": ["emojy"]}, {}, "did you mean 'emoji'?"),
    "a normaliser that there is not": ({"normalise": {"email": "gmial"}}, {}, "did you mean 'gmail'?"),
    "a field": ({}, {"fields": ["fist_name"]}, "no column 'fist_name' in customers or customer_campaign_facts; did you mean 'first_name'?"),
    "a constant in a column of hashes": ({"headers": {"first_name": "fn"}, "hash": ["first_name"]}, {"constants": {"FN": "Ann"}}, "would be in clear"),
    "a column in another of hashes": ({"headers": {"first_name": "fn"}, "hash": ["first_name"]}, {"fields": [{"fn": "last_name"}]}, "would be in clear"),
    "two pairs in an entry": ({}, {"fields": [{"Last Order": "last_order_date", "VIP": "stage"}]}, "give each its own entry"),
    "no pair in an entry": ({}, {"fields": [{}]}, "give each its own entry"),
    "epoch": ({"timestamps": "%s"}, {}, "timestamps: '%s' is no form"),
    "no form at all": ({}, {"forms": {"birth_date": "birthday"}}, "forms.birth_date: 'birthday' is no form"),
}


@pytest.mark.parametrize("case", CLEAR)
def test_names_that_mean_nothing_are_errors(shop, case):
    spec, delivery, said = CLEAR[case]
    shop.configure({"own": {"channel": "email", "audiences": ["at_risk"], **delivery}}, specs={"own": {**OWN, "hash": [], **spec}})
    done = shop(code=2)
    assert said in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(("destination", "constants"), [("meta", {"contry": "DE"}), ("google", {"Contry": "DE"}), ("meta", {"country": "DE"})])
def test_a_constant_that_the_destination_does_not_take_is_an_error(shop, destination, constants):
    shop.configure({destination: {"channel": "ads", "audiences": ["at_risk"], "constants": constants, "attest": ATTEST}})
    assert "country" in shop(code=2).stderr.lower()


CONSENT = [("klaviyo", {"constants": {"Email Marketing Consent": "SUBSCRIBED"}}), ("klaviyo", {"constants": {"sms marketing consent": "SUBSCRIBED"}}),
           ("klaviyo", {"constants": {"Email Marketing Consent Timestamp": "2020-01-01"}}), ("klaviyo", {"fields": [{"SMS Marketing Consent": "stage"}]}),
           ("braze", {"constants": {"email_subscribe": "opted_in"}}), ("braze", {"constants": {"push_subscribe": "opted_in"}}),
           ("customerio", {"constants": {"unsubscribed": "false"}}), ("omnisend", {"constants": {"SMS opt-in date": "2026-01-01"}}),
           ("salesforce_marketing_cloud", {"constants": {"Subscriber Status": "Active"}})]


@pytest.mark.parametrize(("destination", "more"), CONSENT)
def test_nothing_overrides_consent(shop, destination, more):
    shop.configure({destination: {"channel": "email", "audiences": ["at_risk"], **more}})
    assert "says who may be contacted" in shop(code=2).stderr


# ---- Meta and Google ----

def meta(shop, people):
    """The row of Meta's file of each person, given by their columns."""
    shop.publish([person(f"p{i}", f"p{i}@example.com", **columns) for i, columns in enumerate(people)], [])
    shop.configure({"meta": {"channel": "ads", "audiences": ["at_risk"], "fields": [
        "first_name", "last_name", "city", "region", "postal_code", "country", "gender", "birth_date"]}})
    done = shop()
    assert done.returncode in (0, 5), done.stderr
    found = {row["email"]: row for row in read(shop, "meta/at_risk.csv")}
    return [found[sha256(f"p{i}@example.com")] for i, _ in enumerate(people)]


META = [
    ("ln", {"last_name": "O'Neil"}, "oneil"), ("fn", {"first_name": "J."}, "j"), ("ln", {"last_name": "Smith, Jr."}, "smith jr"),
    ("fn", {"first_name": "Vale\u0301ry"}, "valéry"), ("fn", {"first_name": " Valéry\u00a0"}, "valéry"), ("fn", {"first_name": "정"}, "정"),
    ("ln", {"last_name": "de  la\u00a0Cruz"}, "de la cruz"), ("ln", {"last_name": "Smith-Jones"}, "smithjones"), ("ln", {"last_name": "..."}, None),
    ("ct", {"city": "Sa\u0303o Paulo"}, "sãopaulo"), ("ct", {"city": "St. Gallen"}, "stgallen"),
    ("st", {"region": "New York"}, "ny"), ("st", {"region": "CA"}, "ca"), ("st", {"region": "district of columbia", "country": "USA"}, "dc"),
    ("st", {"region": "New York", "country": None}, "ny"), ("st", {"region": "Nordrhein-Westfalen", "country": "DE"}, "nordrheinwestfalen"),
    ("st", {"region": "Georgia", "country": "GE"}, "georgia"),
    ("zip", {"postal_code": "94016-1234"}, "94016"), ("zip", {"postal_code": "940161234", "country": "United States"}, "94016"),
    ("zip", {"postal_code": "94016-1234", "country": None}, "94016"), ("zip", {"postal_code": "2134"}, "02134"),
    ("zip", {"postal_code": "SW1A 1AA", "country": "UK"}, "sw1a1aa"), ("zip", {"postal_code": " 75001 ", "country": "FR"}, "75001"),
    ("zip", {"postal_code": "1234-567", "country": "PT"}, "1234567"), ("zip", {"postal_code": "1010", "country": "AT"}, "1010"),
    ("country", {"country": "UK"}, "gb"), ("country", {"country": "Deutschland"}, "de"), ("country", {"country": "us"}, "us"),
    ("country", {"country": "Wonderland"}, None), ("gen", {"gender": "Female"}, "f"), ("gen", {"gender": "M"}, "m"), ("gen", {"gender": "x"}, None),
    ("dob", {"birth_date": date(1980, 2, 29)}, "19800229"),
]


def test_meta_gets_what_it_can_match(shop):
    for row, (header, columns, text) in zip(meta(shop, [columns for _, columns, _ in META]), META, strict=True):
        assert row[header] == (sha256(text) if text else ""), (header, columns)


def test_published_hashes_stand_in_metas_files(shop):
    """Meta's own vectors, letter for letter, also when an accent comes as a sign of its own."""
    row, = meta(shop, [{"first_name": "Vale\u0301ry", "last_name": "정", "country": "us"}])
    assert row["fn"] == "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c"
    assert row["ln"] == "8fa8cd9c440be61d0151429310034083132b35975c4bea67fdd74158eb51db14"
    assert row["country"] == "79adb2a2fce5c6ba215fe5f27f532d4e7edbac4b6a5e09e1ef3a08084a904621"


def test_an_integer_zip_is_hashed_as_text(shop):
    shop.publish([person("a", "a@example.com"), person("b", "b@example.com")], [], columns={"zip": ("integer", [94016, 2134])})
    shop.configure({"meta": {"channel": "ads", "audiences": ["at_risk"], "fields": ["zip"]}})
    shop(code=0)
    assert sorted(row["zip"] for row in read(shop, "meta/at_risk.csv")) == sorted([sha256("94016"), sha256("02134")])


def test_googles_address(shop):
    """First and last name composed and hashed, country and zip as they are; and a word when a part is not asked for."""
    shop.publish([person("a", "a@example.com", first_name=" Vale\u0301ry", last_name="Name", country="Germany", postal_code="01067")], [])
    shop.configure({"google": {"channel": "ads", "audiences": ["at_risk"], "fields": ["first_name", "last_name", "country", "postal_code"],
                               "attest": ATTEST}})
    assert "together" not in shop(code=0).stdout
    assert read(shop, "google/at_risk.csv") == [{
        "Email": sha256("a@example.com"), "Phone": "", "First Name": "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c",
        "Last Name": sha256("name"), "Country": "DE", "Zip": "01067"}]
    shop.configure({"google": {"channel": "ads", "audiences": ["at_risk"], "fields": ["first_name", "last_name", "country"], "attest": ATTEST}})
    assert "together or not at all, and postal_code is not among the fields" in shop(code=0, now=LATER).stdout
    shop.configure({"google": {"channel": "ads", "audiences": ["at_risk"], "attest": ATTEST}})
    assert "together" not in shop(code=0, now=LATEST).stdout


def test_an_unknown_country_is_withheld_and_listed(shop):
    shop.publish([person("a", "a@example.com", country="Wonderland"), person("b", "b@example.com", country=" ")], [])
    shop.configure({"braze": {"channel": "email", "audiences": ["at_risk"], "fields": ["country"]}})
    shop(code=5)
    assert [row["country"] for row in read(shop, "braze/at_risk.csv")] == ["", ""]
    assert quarantined(shop) == {("a", "country", "not_a_country")}


def codes():
    with open(ROOT / "scripts/audience_export/codes.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_name_has_one_code():
    with duckdb.connect() as con:
        rows.read_codes(con)
        assert con.execute("select kind, name from codes group by all having count(*) > 1").fetchall() == []
        assert con.execute("select count(*) from codes where name = ''").fetchone() == (0,)
    assert len({row["code"] for row in codes() if row["kind"] == "country"}) == 249
    states = {row["code"]: row["name"] for row in codes() if row["kind"] == "us_state"}
    assert len(states) == 57 and states["NY"] == "New York"  # 50, the capital's district, six territories


@pytest.mark.parametrize(("name", "code"), [
    ("UK", "GB"), ("U.K.", "GB"), ("England", "GB"), ("USA", "US"), ("U.S.A.", "US"), ("united states", "US"), ("Côte d'Ivoire", "CI"),
    ("Cote d\u2019Ivoire", "CI"), ("Österreich", "AT"), ("Osterreich", "AT"), ("O\u0308sterreich", "AT"), ("DEU", "DE"), ("gb", "GB"), ("España", "ES"),
    ("日本", "JP"), ("Ελλάδα", "GR"), ("Republic of Korea", "KR"), ("South Korea", "KR"), ("XX", None), ("", None), ("UKR", "UA")])
def test_countries_have_the_code_that_vendors_know(name, code):
    with duckdb.connect() as con:
        rows.read_codes(con)
        assert con.execute(f"select {rows.normalised('country', '$1::varchar')}", [name]).fetchone() == (code,)


# ---- each vendor's own ----

def test_brevo_is_given_a_phone_with_one_address_only(shop):
    """It makes one contact of all that share a phone, for good: so of two people neither is written with it, whether or not
    the other is in the file."""
    shop.publish([person("a", "a@example.com", "+14155550101"), person("b", "b@example.com", "(415) 555-0101"),
                  person("c", "c@example.com", "+14155550103"), person("d", "d@example.com", "+14155550103", audiences=("champions",)),
                  person("e", "e@example.com", "+14155550105"), person("f", "f@example.com", "+14155550105", audiences=(), consent=("sms",)),
                  person("g", "g@example.com", "+14155550107"), person("h", None, "+14155550107", audiences=())], [])
    shop.configure({"brevo": {"channel": "email", "audiences": ["at_risk", "champions"], "fields": ["phone"]},
                    "texts": {"destination": "brevo", "channel": "sms", "audiences": ["at_risk"], "fields": [{"EMAIL": "email"}]}})
    shop(code=5)
    written = {row["EMAIL"]: row["SMS"] for name in ("at_risk", "champions") for row in read(shop, f"brevo/{name}.csv", delimiter=";")}
    assert written == {"a@example.com": "", "b@example.com": "", "c@example.com": "", "d@example.com": "", "e@example.com": "",
                       "g@example.com": "+14155550107"}
    assert quarantined(shop) >= {(name, "SMS", "shared_phone") for name in "abcde"}
    assert {row["SMS"]: row["EMAIL"] for row in read(shop, "texts/at_risk.csv", delimiter=";")} == {
        "+14155550101": "", "+14155550103": "", "+14155550105": "", "+14155550107": "g@example.com"}


@pytest.mark.parametrize("acked", [True, False])
def test_brevo_keeps_a_phone_with_the_address_that_holds_it(shop, acked):
    """By whatever was ever published there, acknowledged or not (R12)."""
    shop.configure({"brevo": {"channel": "email", "audiences": ["at_risk"], "fields": ["phone"]}})
    shop.publish([person("a", "old@example.com", "+14155550101"), person("b", "b@example.com", "+14155550102")], [])
    shop(code=0)
    if acked:
        shop("ack", RUN, code=0)
    shop.publish([person("a", "new@example.com", "+14155550101"), person("b", "b@example.com", "+14155550102")], [])
    shop(code=5, now=LATER)
    found = {row["EMAIL"]: row["SMS"] for row in read(shop, "brevo/at_risk.csv", RUN2, ";")}
    assert found == {"new@example.com": ""} if acked else {"new@example.com": "", "b@example.com": "+14155550102"}


def test_brevo_in_deltas(shop):
    """A snapshot that went through a delta knows the phones of those who did not change, too."""
    shop.configure({"brevo": {"channel": "email", "audiences": ["at_risk"], "fields": ["phone"], "mode": "delta"}})
    people = [person(f"p{i}", f"p{i}@example.com", f"+1415555010{i}") for i in range(4)]
    shop.publish(people[:3], [])
    shop(code=0)
    shop("ack", RUN, code=0)
    shop.publish(people, [])
    shop(code=0, now=LATER)
    shop("ack", RUN2, code=0)
    shop.publish([person("p0", "moved@example.com", "+14155550100"), *people[1:]], [])
    shop(code=5, now=LATEST)
    assert read(shop, "brevo/at_risk.added.csv", RUN3, ";") == [{"EMAIL": "moved@example.com", "SMS": "", "In At Risk": "true"}]


def test_braze_takes_each_address_once(shop):
    shop.publish([person("a", "a@example.com", "+14155550101"), person("b", "b@example.com", "+14155550101")], [])
    shop.configure({"braze": {"channel": "email", "audiences": ["at_risk"], "fields": ["phone"]}})
    shop(code=5)
    assert [row["phone"] for row in read(shop, "braze/at_risk.csv")] == ["+14155550101", ""]
    assert quarantined(shop) == {("b", "phone", "duplicate")}


def test_braze_keeps_the_zeros_of_an_id_and_gets_iso_times(shop):
    shop.publish([person("a", "a@example.com", primary_customer_id="000123", region="007")], [])
    shop.configure({"braze": {"channel": "email", "audiences": ["at_risk"], "identify_by": "primary_customer_id", "fields": ["stage_entered_at", "region"]}})
    shop(code=5)
    assert read(shop, "braze/at_risk.csv") == [
        {"external_id": "000123", "email_subscribe": "opted_in", "stage_entered_at": "2026-10-01T08:30:00Z", "region": "", "In At Risk": "true"}]
    assert quarantined(shop) == {("a", "region", "leading_zero")}


def test_cloud_data_ingestion_by_phone_and_from_files(shop):
    shop.publish([person("a", "a@example.com", "+14155550101")], [suppression("sms", "phone", "+14155550109")])
    more = {"channel": "sms", "audiences": ["at_risk"], "constants": {"subscription_group_id": 'a"b'}}
    shop.configure({"braze_cdi": more, "braze_cdi_files": more})
    shop(code=0)
    for name, columns in (("braze_cdi", ["PHONE", "UPDATED_AT", "PAYLOAD"]), ("braze_cdi_files", ["PHONE", "PAYLOAD"])):
        for file, state, phone in (("at_risk.added", "subscribed", "+14155550101"), ("suppress", "unsubscribed", "+14155550109")):
            row = read(shop, f"{name}/{file}.csv")[0]
            assert [*row] == columns and row["PHONE"] == phone
            assert json.loads(row["PAYLOAD"])["subscription_groups"] == [{"subscription_group_id": 'a"b', "subscription_state": state}]


def test_mailchimps_birthday_has_no_year_and_a_date_may_have_one(shop):
    shop.publish([person("a", "a@example.com", birth_date=date(2000, 2, 29))], [])
    given = {"channel": "email", "audiences": ["at_risk"], "fields": ["birth_date", "last_order_date"]}
    shop.configure({"mailchimp": given, "dated": {**given, "destination": "mailchimp", "forms": {"birth_date": "%Y-%m-%d"}}})
    shop(code=0)
    assert read(shop, "mailchimp/at_risk.csv") == [{"Email Address": "a@example.com", "Birthday": "02/29", "last_order_date": "2026-08-09", "In At Risk": "true"}]
    assert read(shop, "dated/at_risk.csv")[0]["Birthday"] == "2000-02-29"


def test_mobileconnect_takes_nobody_without_a_country(shop):
    shop.publish([person("a", None, "+14155550101"), person("b", None, "+14155550102", country=None)], [
        suppression("sms", "phone", "+14155550101"), suppression("sms", "phone", "+14155550109")])
    given = {"destination": "salesforce_marketing_cloud", "channel": "sms", "audiences": ["at_risk"]}
    shop.configure({"plain": given, "one": {**given, "constants": {"_Locale": "US"}},
                    "own": {**given, "fields": [{"_ContactKey": "primary_customer_id"}]}})
    shop(code=5)
    assert read(shop, "plain/at_risk.csv") == [] and ("b", "_Locale", "missing") in quarantined(shop)
    assert read(shop, "plain/suppress.csv") == [
        {"_MobileNumber": "14155550101", "_ContactKey": "a", "_Locale": "US", "_Status": "Unsubscribe"},
        {"_MobileNumber": "14155550109", "_ContactKey": "", "_Locale": "", "_Status": "Unsubscribe"}]
    assert read(shop, "one/at_risk.csv") == [{"_MobileNumber": "14155550102", "_Status": "", "_Locale": "US", "_ContactKey": "b"}]
    assert read(shop, "own/suppress.csv")[0]["_ContactKey"] == "c-a"


def test_omnisend_is_told_when(shop):
    """The latest no counts; one without a time is a no whenever it was said, so it is one of now."""
    undated = ("email", "email", "c@example.com", sha256("c@example.com"), "unsubscribed", None)
    shop.publish([person("a", "a@example.com")], [suppression("email", "email", "b@example.com"), undated], time_zone="Europe/Berlin")
    shop.configure({"omnisend": {"channel": "email", "audiences": ["at_risk"]}})
    shop(code=0)
    assert read(shop, "omnisend/at_risk.csv") == [{"Email": "a@example.com", "Email opt-in date": "2026-01-02T02:04:05Z", "In At Risk": "true"}]
    assert read(shop, "omnisend/suppress.csv") == [{"Email": "b@example.com", "Email opt-out date": "2026-05-05T22:00:00Z"},
                                                   {"Email": "c@example.com", "Email opt-out date": "2026-11-22T06:00:00Z"}]


def test_one_kind_of_identifier_to_a_list(shop):
    shop.publish([person("a", "a@example.com", "+14155550101"), person("b", None, "+14155550102"), person("c", "c@example.com")],
                 [suppression("ads", "email", "d@example.com"), suppression("ads", "phone", "+14155550109")])
    given = {"destination": "snapchat", "channel": "ads", "audiences": ["at_risk"]}
    shop.configure({"mails": given, "phones": {**given, "identify_by": "phone"}})
    result = shop.json(code=0)["manifest"]["deliveries"]
    assert shop.file("mails/at_risk.csv").read_text().split() == ["EMAIL_SHA256", *sorted([sha256("a@example.com"), sha256("c@example.com")])]
    assert shop.file("phones/at_risk.csv").read_text().split() == ["PHONE_SHA256", *sorted([sha256("14155550101"), sha256("14155550102")])]
    assert not shop.file("mails/suppress.csv").exists(), "ads are told by removals"
    assert result["mails"]["audiences"]["at_risk"]["reasons"] == {"no_identifier": 1}
    shop.configure({"mails": {**given, "identify_by": "person_id"}})
    assert "takes one of email, phone" in shop(code=2).stderr


@pytest.mark.parametrize(("destination", "least"), [("meta", 100), ("tiktok", 1000), ("linkedin", 300), ("snapchat", 1000)])
def test_a_list_that_is_too_small_is_said(shop, destination, least):
    for people, said in ((least - 1, True), (least, False)):
        shop.publish([person(f"p{i:04}", f"p{i}@example.com") for i in range(people)], [])
        shop.configure({destination: {"channel": "ads", "audiences": ["at_risk"]}})
        done = shop("--dry-run", code=0)
        assert (f"{people} people, {destination} wants {least}" in done.stdout) == said


def test_linkedins_template_takes_a_title_of_ones_own(shop):
    shop.publish([person("a", "a@example.com")], [], columns={"position": ("varchar", ["Buyer"])})
    shop.configure({"linkedin": {"channel": "ads", "audiences": ["at_risk"], "fields": [{"jobtitle": "position"}]}})
    shop(code=0)
    assert shop.file("linkedin/at_risk.csv").read_text() == (
        f"email,firstname,lastname,jobtitle,employeecompany,country,googleaid\n{sha256('a@example.com')},,,Buyer,,,\n")
    shop.configure({"linkedin": {"channel": "ads", "audiences": ["at_risk"], "fields": [{"email": "first_name"}]}})
    shop(code=2)


# ---- removals ----

def test_each_identifier_is_removed_by_itself(shop):
    """A phone that changed goes although its owner stays; one that somebody else still has stays although its owner goes."""
    shop.configure({"meta": {"channel": "ads", "audiences": ["at_risk"], "mode": "delta"}})
    shop.publish([person("a", "a@example.com", "+14155550101"), person("b", "b@example.com", "+14155550102"),
                  person("c", "c@example.com", "+14155550103"), person("d", None, "+14155550103"),
                  person("e", "e@example.com", "+14155550105"), person("f", "f@example.com", "+14155550106")], [])
    shop(code=0)
    shop("ack", RUN, code=0)
    shop.publish([person("a", "a@example.com", "+14155550199"), person("b", "b@example.com"),
                  person("d", None, "+14155550103"), person("f", "f@example.com", "+14155550106")], [])
    node = shop.json(code=0, now=LATER)["manifest"]["deliveries"]["meta"]["audiences"]["at_risk"]
    removed = {row["email"] or row["phone"] for row in read(shop, "meta/at_risk.removed.csv", RUN2)}
    assert all(bool(row["email"]) != bool(row["phone"]) for row in read(shop, "meta/at_risk.removed.csv", RUN2))
    assert removed == {sha256(text) for text in ("14155550101", "14155550102", "c@example.com", "e@example.com", "14155550105")}
    assert node["leaving"] == 2, "people, for the guard"
    shop("ack", RUN2, code=0)
    assert "nothing changed" in shop(code=0, now=LATEST).stdout
    shop.publish([person("a", "a@example.com", "+14155550199")], [])
    shop(code=0, now="2026-11-22T09:00:00")
    removed = {row["email"] or row["phone"] for row in read(shop, "meta/at_risk.removed.csv", "20261122T090000Z")}
    assert removed == {sha256(text) for text in ("b@example.com", "14155550103", "f@example.com", "14155550106")}


# ---- numbers ----

def plain(value):
    """The oracle: 15 digits, without an exponent."""
    text = format(Decimal(f"{value:.14e}"), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "0") else text


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.floats(allow_nan=False, allow_infinity=False) | st.floats(-1e6, 1e6) | st.sampled_from(
    [0.00001, 1e16, 0.1 + 0.2, -0.0, 1e15, 999999999999999.9, 1e-4, 9.99999999999999e-5, 123456789012345678, 5e-324, 1.7976931348623157e308, 12.5]))
def test_doubles_are_plain_decimals(value):
    with duckdb.connect() as con:
        assert con.execute(f"select {rows.plain_decimal('$1::double')}", [value]).fetchone()[0] == plain(value)


@pytest.mark.parametrize(("kind", "value", "text"), [
    ("double", 0.00001, "0.00001"), ("double", 1e16, "10000000000000000"), ("double", 0.1 + 0.2, "0.3"), ("double", -2.50, "-2.5"),
    ("double", float("inf"), ""), ("double", float("nan"), ""), ("float", 0.1, "0.1"), ("float", 16777216.0, "16777216"), ("double", None, "")])
def test_numbers_in_files_have_no_exponent(shop, kind, value, text):
    shop.publish([person("a", "a@example.com")], [], columns={"score": (kind, [value])})
    shop.configure({"csv": {"channel": "email", "audiences": ["at_risk"], "fields": ["score"]}})
    shop(code=0)
    assert read(shop, "csv/at_risk.csv")[0]["score"] == text


# ---- consents that stand still ----

@pytest.mark.parametrize(("people", "sources", "blocked"), [
    (45, [("esp", "consents", 90, 10), ("shop", "orders", 900, 0)], "10 days older than the marts, where about 5 more"),
    (44, [("esp", "consents", 88, 10)], False), (90, [("esp", "consents", 90, 8)], "8 days"), (90, [("esp", "consents", 90, 7)], False),
    (90, [("esp", "consents", 90, None)], False), (90, [("shop", "consents", 10, 0), ("esp", "consents", 80, 10)], "'esp'"),
    (90, [("shop", "consents", 10, 30), ("esp", "consents", 80, 0)], False), (90, [("esp", "suppressions", 90, 90)], False), (90, [], False)])
def test_consents_that_stand_still_block(shop, people, sources, blocked):
    """So many people, one consent a day of theirs in the 90 days before the newest; the older of them do not count."""
    newest = datetime(2026, 11, 11)
    shop.publish([person(f"p{i}", f"p{i}@example.com", consented_at=newest - timedelta(days=i * 90 / people, seconds=-i)) for i in range(people)]
                 + [person(f"q{i}", f"q{i}@example.com", consented_at=newest - timedelta(days=200 + i)) for i in range(9)], [], sources=sources)
    shop.configure({"klaviyo": {"channel": "email", "audiences": ["at_risk"]}}, guards={})
    done = shop(code=4 if blocked else 0)
    assert (blocked or "") in done.stderr and ("newest consent of" in done.stderr) == bool(blocked)
    if blocked:
        shop("--override", "consent_age_days=off", "--reason", "nobody signed up in August", code=0)


# ---- a file of one's own ----

def test_deliveries_are_enough(shop):
    (shop.folder / "destinations.yml").write_text(yaml.safe_dump({"deliveries": {
        name: given for name, given in EVERY.items() if name != "hashed_csv"}}))
    shop("--override", "quarantined=off", "--reason", "the demo is meant so", code=5)
    assert {path.name for path in shop.file("").iterdir()} == {*EVERY, "manifest.json", "quarantine.csv"} - {"hashed_csv"}


def test_a_destination_of_ones_own_goes_first(shop):
    spec = {**SPECS["csv"], "separator": ";"}
    (shop.folder / "destinations.yml").write_text(yaml.safe_dump({
        "deliveries": {name: {"channel": "email", "audiences": ["at_risk"]} for name in ("csv", "klaviyo")}, "destinations": {"csv": spec},
        "settings": {"guards": OPEN}}))
    shop(code=0)
    assert shop.file("csv/at_risk.csv").read_text().startswith("email\n") and shop.file("klaviyo/at_risk.csv").exists()
    assert json.loads(shop.file("manifest.json").read_text())["deliveries"]["csv"]["separator"] == ";"


def test_every_vendor_has_a_source_and_a_date():
    plain_files = {"csv", "parquet", "jsonl", "hashed_csv"}
    for name, spec in SPECS.items():
        if name not in plain_files:
            assert spec["source"].startswith("https://") and re.fullmatch(r"20\d\d-\d\d", spec["checked"]), name
    assert {"tiktok", "linkedin", "snapchat", "omnisend"} <= SPECS.keys()


def test_the_default_csv_says_what_its_audiences_are_about():
    """Tier, city, product and region; and nothing that is written only where somebody names it."""
    fields = yaml.safe_load((ROOT / "destinations.yml").read_text())["deliveries"]["csv"]["fields"]
    assert {"loyalty_tier", "city", "region", "next_product", "replacement_product", "browsed_product", "next_plan", "next_onboarding_step",
            "missing_key_feature", "preferred_hour"} <= {*fields}
    assert not {"postal_code", "birth_date", "gender", "email", "phone"} & {*fields}
    described = set()
    for path in ("customers/_customers__models.yml", "campaigns/_campaigns__models.yml"):
        for model in yaml.safe_load((ROOT / "models/marts" / path).read_text())["models"]:
            if model["name"] in ("customers", "customer_campaign_facts"):
                described |= {column["name"] for column in model["columns"]}
    assert {*fields} - described == {"entered_on", "consented_at"}


# ---- one sentence, and the truth ----

@pytest.mark.parametrize("option", ["--out", "--state"])
@pytest.mark.parametrize("path", ["note.txt", "note.txt/below"])
@pytest.mark.parametrize("command", [["run"], ["run", "--dry-run"], ["ack", RUN], ["purge"]], ids=" ".join)
def test_a_file_instead_of_a_folder(shop, option, path, command):
    (shop.folder / "note.txt").write_text("not a folder")
    words = shop.command(*command)
    words[words.index(option) + 1] = path
    done = shop.inside(words, {})
    assert done.returncode == 2 and done.stderr.startswith(f"error: {option} {path}: ") and "note.txt is a file" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_ack_whose_state_is_lost(shop):
    """The run that lies there says what it held; what was acknowledged before nobody knows any more."""
    shop.configure({"csv": {"channel": "email", "audiences": ["at_risk"], "mode": "delta"}})
    shop(code=0)
    shop("ack", RUN, code=0)
    shop.publish(shop.people[1:])
    shop(code=0, now=LATER)
    shutil.rmtree(shop.folder / "state")
    shop("ack", RUN2, code=0)
    assert "no such run" in shop("ack", RUN, code=2).stderr
    assert shop.json(code=0, now=LATEST)["manifest"]["deliveries"]["csv"]["audiences"]["at_risk"]["changes"]["added"] > 3


@pytest.mark.parametrize(("what", "code", "said"), [("ledger", 2, "no run is half published"), ("logs", 1, f"exports/{RUN} is published")])
def test_a_state_that_cannot_be_written_does_not_hide_the_run(shop, what, code, said):
    """The run is there or it is not, and the message says which."""
    shop.configure({"csv": {"channel": "email", "audiences": ["at_risk"], "command": ["true"]}})
    (shop.folder / "state" / "deliveries").mkdir(parents=True)
    (shop.folder / "state" / "deliveries" / what).write_text("in the way")
    done = shop(code=code)
    assert said in done.stderr and done.stderr.count("\n") == 1
    assert Path(shop.file("manifest.json")).exists() == (what == "logs")
