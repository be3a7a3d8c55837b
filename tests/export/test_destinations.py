"""Every destination's files, golden; the published hash vectors; the linter on spoilt files; splitting."""

import csv
import hashlib
import io
import os
from datetime import date, datetime
from pathlib import Path

import duckdb
import pytest

from audience_export import config, files, rows
from published import keyed_hash, person, sha256
from shop import EVERY, NOW, RUN, SPECS, Shop

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    shop = Shop(tmp_path_factory.mktemp("every"))
    shop.configure(EVERY)
    shop(env={"TEST_SALT": "pepper"}, code=5)
    return shop


def as_text(path):
    if path.suffix == ".parquet":
        with duckdb.connect() as con:
            found = con.sql(f"from '{path}'")
            return "\n".join(map(repr, [list(zip(found.columns, map(str, found.types), strict=True)), *found.fetchall()])) + "\n"
    return path.read_bytes().decode("utf-8")


@pytest.mark.parametrize("delivery", EVERY)
def test_files_are_the_golden_ones(exported, delivery):
    folder, golden = exported.file(delivery), GOLDEN / delivery
    found = {path.name: as_text(path) for path in sorted(folder.iterdir())}
    if os.environ.get("UPDATE_GOLDEN"):
        golden.mkdir(parents=True, exist_ok=True)
        for name, text in found.items():
            (golden / name).write_bytes(text.encode())
    assert found == {path.name: path.read_bytes().decode() for path in sorted(golden.iterdir())}


def test_every_destination_has_a_golden_file():
    assert {given.get("destination", name) for name, given in EVERY.items()} == set(SPECS)


def test_quarantine_names_people_fields_and_rules_but_no_values(exported):
    text = exported.file("quarantine.csv").read_text()
    assert "p03,mailchimp,at_risk,Email Address,local_part_not_ascii" in text
    assert "p16,braze,at_risk,region,leading_zero" in text
    assert "calc" not in text and "@" not in text


@pytest.mark.parametrize(("kind", "raw", "clean", "digest"), rows.VECTORS)
def test_published_vectors(kind, raw, clean, digest):
    sql = f"select n, if(not {rows.is_hash('n')}, sha256(n), null) from (select {rows.normalised(kind, 'v')} as n from (select ?::varchar as v))"
    with duckdb.connect() as con:
        found, got = con.execute(sql, [raw]).fetchone()
    assert found == clean
    if digest is None:
        assert got is None
    elif digest:
        assert got == digest == hashlib.sha256(clean.encode()).hexdigest()


def test_vectors_end_to_end(shop):
    """Through the whole export: Meta's and Google's vectors stand in the files."""
    shop.publish([
        person("a", "john_smith@gmail.com", "+1 (650) 555-1212", first_name="Valéry", last_name="정", country="us"),
        person("b", "alexz@example.com", "1-800-555-0100   ", first_name="GivenName", country="US"),
        person("c", "cloudy.sanfrancisco+shopping@googlemail.com"), person("d", "user.name+nyc@example.com"),
        person("e", "e@example.com", first_name="", last_name="f1904cf1a9d73a55fa5de0ac823c4403ded71afd4c3248d00bdcd0866552bb79"),
    ], [])
    shop.configure({name: {**EVERY[name], "audiences": ["at_risk"]} for name in ("meta", "google")})
    shop(code=5)
    meta, google = (shop.file(f"{name}/at_risk.csv").read_text() for name in ("meta", "google"))
    by_kind = {raw: digest for _, raw, _, digest in rows.VECTORS}
    for raw in (" John_Smith@gmail.com ", "+1 (650) 555-1212", "Valéry", "정", "us"):
        assert by_kind[raw] in meta
    for raw in ("  ALEXZ@example.com   ", "+1-800-555-0100   ", "GivenName"):
        assert by_kind[raw] in google
    assert sha256("cloudysanfrancisco@googlemail.com") in google and sha256("user.name+nyc@example.com") in google
    assert "cloudysanfrancisco" not in google and sha256("cloudysanfrancisco@googlemail.com") not in meta
    for text in (meta, google):
        assert sha256("") not in text and sha256(by_kind[" John_Smith@gmail.com "]) not in text
        assert "f1904cf1a9d73a55fa5de0ac823c4403ded71afd4c3248d00bdcd0866552bb79" not in text  # neither twice nor as it came
    assert "e,meta,at_risk,ln,already_hashed" in shop.file("quarantine.csv").read_text()


def test_self_test_stops_a_broken_hash(monkeypatch):
    monkeypatch.setattr(rows, "VECTORS", [("email", "a@b.c", "a@b.c", "0" * 64)])
    with pytest.raises(config.Problem, match="self-test") as error:
        rows.self_test(duckdb.connect())
    assert error.value.code == config.UNEXPECTED


def lines_of(path):
    return path.read_text("utf-8").splitlines()[1:]


def delivery_of(name, tmp_path):
    shop = Shop(tmp_path)
    shop.configure({name: EVERY[name]})
    return config.load(tmp_path / "destinations.yml", [name])[0][0]


SPOILT = {  # what the linter must find in a file that was fine: (delivery, change, word of the message)
    "header": ("klaviyo", lambda t: t.replace("Email,", "E-Mail,", 1), "header"),
    "columns": ("klaviyo", lambda t: t.replace("ann@example.com,", "ann@example.com,x,"), "read back"),
    "encoding": ("klaviyo", lambda t: t.encode().replace("é".encode(), b"\xe9"), "UTF-8"),
    "address": ("klaviyo", lambda t: t.replace("ann@example.com", "ann.example.com"), "e-mail address"),
    "duplicate": ("klaviyo", lambda t: t.replace("ann@example.com", "bob@example.com"), "twice"),
    "enum": ("klaviyo", lambda t: t.replace("SUBSCRIBED", "UNSUBSCRIBED", 1), "SUBSCRIBED"),
    "date": ("klaviyo", lambda t: t.replace("2026-01-02T03:04:05Z", "02/01/2026", 1), "time like"),
    "phone": ("klaviyo", lambda t: t.replace("+16505551212", "6505551212"), "phone number"),
    "formula": ("klaviyo", lambda t: t.replace("Ann", "=1+1"), "formula"),
    "no identifier": ("klaviyo", lambda t: t.replace("ann@example.com", ""), "needs"),
    "hash": ("meta", lambda t: t.replace(sha256("16505551212"), "16505551212"), "SHA-256"),
    "upper-case hash": ("meta", lambda t: t.replace(sha256("16505551212"), sha256("16505551212").upper()), "SHA-256"),
    "hash of nothing": ("meta", lambda t: t.replace(sha256("16505551212"), sha256("")), "SHA-256"),
    "plus": ("salesforce_marketing_cloud", lambda t: t.replace("16505551212", "+16505551212"), "phone number"),
    "too long": ("mailchimp", lambda t: t.replace("Ann", "A" * 256), "255 bytes"),
    "emoji": ("activecampaign", lambda t: t.replace("Ann", "Ann 😀"), "emoji"),
    "line break": ("activecampaign", lambda t: t.replace("Ann", '"An\nn"'), "line_break"),
    "octal": ("braze", lambda t: t.replace("Ann", "007"), "leading_zero"),
    "payload": ("braze_cdi", lambda t: t.replace("{", "[", 1), "JSON"),
    "updated": ("braze_cdi", lambda t: t.replace("2026-11-22T06:00:00Z", "yesterday", 1), "ISO 8601"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_linter_finds(exported, tmp_path, monkeypatch, case):
    monkeypatch.setenv("TEST_SALT", "pepper")
    name, spoil, word = SPOILT[case]
    delivery = delivery_of(name, tmp_path)
    source = exported.file(f"{name}/at_risk.csv")
    types = dict.fromkeys(source.read_text("utf-8").splitlines()[0].split(","), "VARCHAR")
    with duckdb.connect() as con, duckdb.connect(str(exported.source)) as marts:
        marts.execute("use published")
        kinds = rows.check_contract(marts)
        path = tmp_path / "at_risk.csv"
        path.write_bytes(source.read_bytes())
        headers = list(types)
        assert files.lint(con, path, delivery, types, "audience", kinds, headers) > 0
        text = spoil(source.read_text("utf-8"))
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(config.Problem) as error:
            files.lint(con, path, delivery, types, "audience", kinds, headers)
    assert word in str(error.value) and error.value.code == config.UNEXPECTED
    assert "ann" not in str(error.value) and "16505551212" not in str(error.value)


@pytest.mark.parametrize("limits", [{"rows": 7}, {"bytes": 700}])
def test_files_split_at_the_limits(shop, limits):
    people = [person(f"p{i:02}", f"person{i}@example.com", first_name="x" * (i % 30)) for i in range(40)]
    shop.publish(people, [])
    specs = {**SPECS, "csv": {**SPECS["csv"], "limits": limits}}
    shop.configure({"csv": {"channel": "email", "audiences": "all", "fields": ["first_name"]}}, specs=specs)
    shop(code=0)
    parts, emails = sorted(shop.file("csv").glob("at_risk*.csv")), []
    assert len(parts) > 2 and parts[0].name == "at_risk-01.csv"
    for part in parts:
        assert part.stat().st_size <= limits.get("bytes", 10**6)
        found = list(csv.DictReader(io.StringIO(part.read_text("utf-8"), newline="")))
        assert 0 < len(found) <= limits.get("rows", 40)
        emails += [row["email"] for row in found]
    assert sorted(emails) == sorted(p["row"]["email"] for p in people)


def test_folder_of_parquet_marts_gives_the_same_files(shop):
    shop.configure({"csv": {"channel": "email", "audiences": "all", "fields": ["first_name", "stage", "next_product"]}})
    facts = [(person["row"]["person_id"], "Kettle", 1, None, None) for person in shop.people]
    shop.publish(facts=facts, catalogue=[("at_risk", "email"), ("champions", "push"), ("stage_new", "email")],
                 time_zone="Asia/Tokyo", sources=[("esp", "consents", 9, 0)])
    shop(code=5)
    marts = shop.folder / "marts"
    marts.mkdir()
    with duckdb.connect(str(shop.source), read_only=True) as con:
        for mart in rows.MARTS:
            con.execute(f"copy marts.{mart} to '{marts / mart}.parquet'")
    shop("--from", str(marts), code=5, now="2026-11-22T07:00:00")
    names = {path.name for path in shop.file("csv").iterdir()}
    assert names == {path.name for path in shop.file("csv", "20261122T070000Z").iterdir()}
    assert "at_risk.csv" in names and "champions.csv" not in names
    for name in names:
        assert shop.file(f"csv/{name}").read_bytes() == shop.file(f"csv/{name}", "20261122T070000Z").read_bytes()


def test_spreadsheet_safe_prefixes_text_and_nothing_else(shop):
    shop.publish([person("a", "a@example.com", "+16505551212", first_name="=1+1", last_name="-x", net_revenue="-3")], [])
    shop.configure({"csv": {"channel": "email", "audiences": "all", "fields": ["first_name", "last_name", "phone", "net_revenue"]}})
    shop("--spreadsheet-safe", code=0)
    assert shop.file("csv/at_risk.csv").read_text() == (
        "email,first_name,last_name,phone,net_revenue\na@example.com,'=1+1,'-x,+16505551212,-3.00\n")


def test_money_has_two_decimals_unless_it_has_more(shop):
    amounts = {"12.3400": "12.34", "12.3456": "12.3456", "-0.0050": "-0.0050", "0": "0.00",
               "-99999999999999.9900": "-99999999999999.99", "0.9999": "0.9999", "1000000": "1000000.00", None: ""}
    shop.publish([person(f"p{i}", f"p{i}@example.com", net_revenue=amount) for i, amount in enumerate(amounts)], [])
    shop.configure({"csv": {"channel": "email", "audiences": "all", "fields": ["net_revenue"]}})
    shop(code=0)
    assert lines_of(shop.file("csv/at_risk.csv")) == [f"p{i}@example.com,{text}" for i, text in enumerate(amounts.values())]


def test_a_second_address_needs_its_own_consent(shop):
    """A phone beside an e-mail address is written only when the person may be sent sms."""
    shop.publish([person("a", "a@example.com", "+14155550101"),
                  person("b", "b@example.com", "+14155550102", consent=("email",)),
                  person("c", "c@example.com", "+14155550103")],
                 [("sms", "phone", None, keyed_hash(sha256("+14155550103")), "erased", None)])
    shop.configure({"csv": {"channel": "email", "audiences": "all", "fields": ["phone"]}})
    shop(code=0)
    assert shop.file("csv/at_risk.csv").read_text() == "email,phone\na@example.com,+14155550101\nb@example.com,\nc@example.com,\n"


def test_run_and_now_agree():
    assert NOW[:19].replace("-", "").replace(":", "") + "Z" == RUN


def test_campaign_facts_are_fields_too(shop):
    """The marts' money, dates and text like those of customers; where both have a column, that of customers."""
    people = [person(f"p{i}", f"person{i}@example.com") for i in range(3)]
    facts = [("p0", "Kettle", "12.5000", date(2026, 12, 31), "other"), ("p1", "=cmd()", "0.1234", None, "other")]
    fields = ["first_name", {"Next product": "next_product"}, "simple_clv", "loyalty_tier_until"]
    shop.configure({"csv": {"channel": "email", "audiences": ["at_risk"], "fields": fields}})
    shop.publish(people, [], facts=facts)
    shop(code=5)
    assert shop.file("csv/at_risk.csv").read_text("utf-8").splitlines() == [
        "email,first_name,Next product,simple_clv,loyalty_tier_until",
        "person0@example.com,Ann,Kettle,12.50,2026-12-31",
        "person1@example.com,Ann,,0.1234,",
        "person2@example.com,Ann,,,",
    ]
    shop.publish(people, [], facts=[*facts, facts[0]])
    assert "customer_campaign_facts has several rows" in shop(code=3).stderr
    shop.publish(people, [])
    assert "'next_product'" in shop(code=2).stderr


def test_times_are_in_utc_whatever_the_time_zone_of_the_marts(shop):
    """Berlin is an hour ahead in winter and two in summer; a consent of 00:30 there is of the day before."""
    moments = {"p1": datetime(2026, 1, 2, 0, 30), "p2": datetime(2026, 7, 2, 0, 30)}
    people = [person(name, f"{name}@example.com", consented_at=moment) for name, moment in moments.items()]
    shop.configure({"klaviyo": {"channel": "email", "audiences": ["at_risk"], "fields": ["last_order_date"]}})
    shop.publish(people, [], time_zone="Europe/Berlin")
    shop(code=0)
    assert shop.file("klaviyo/at_risk.csv").read_text("utf-8").splitlines()[1:] == [
        "p1@example.com,SUBSCRIBED,2026-01-01T23:30:00Z,2026-08-09,true",
        "p2@example.com,SUBSCRIBED,2026-07-01T22:30:00Z,2026-08-09,true",
    ]
