"""Erasure: whom it finds, what it writes into the state, what it takes out of the rest, and what its receipts say."""

import hashlib
import hmac
import json
import os
import random
import shutil
import stat
import subprocess
import sys
import time
from contextlib import contextmanager

import duckdb
import pytest

import erase
import published
from audience_export.ledger import Ledger
from published import person, suppression
from shop import RUN, Shop
from support import PROJECT

ANN, BEN, CLEO, DORA, EVE, GUEST = "a1" * 16, "b2" * 16, "c3" * 16, "d4" * 16, "e5" * 16, "f6" * 16
# person, records (role, source, id, e-mail), phone as E.164
PEOPLE = [
    (ANN, [("shop", "shop", "17", "ann@example.com"), ("app", "app", "u1", "ann@example.com"), ("esp", "esp", "c1", "ann.lee@example.com")], "+491701234567"),
    (BEN, [("shop", "shop", "18", "ben.k@gmail.com"), ("app", "app", "42", None)], "+4930555777"),
    (CLEO, [("shop", "shop", "42", "benk+news@gmail.com")], "+4930555777"),
    (DORA, [("shop", "shop", "19", "info@example.com")], None),
    (EVE, [("shop", "shop", "20", "info@example.com"), ("app", "app", "u5", "eve@example.com")], "+33612345678"),
    (GUEST, [("shop", "shop", None, "guest@example.com")], None),
]
SECRETS = {value for person_id, records, phone in PEOPLE for value in (person_id, phone, *(mail for *_, mail in records)) if value}


def keyed(text):
    return hmac.new(published.KEY, hashlib.sha256(text.encode()).hexdigest().encode(), hashlib.sha256).hexdigest()


def spellings(people):
    """int_address_keys, as far as the tests need it: (address_type, address, key_type, key)."""
    for _, records, phone in people:
        for *_, email in records:
            if email:
                yield "email", email, "email", email
                name, at, domain = email.partition("@")
                if domain == "gmail.com":
                    yield "email", email, "mailbox", name.split("+")[0].replace(".", "") + at + domain
        for form in published.phone_forms(phone):
            yield "phone", phone, "phone", form


def warehouse(path, people=None, erased=()):
    """The tables of a build that an erasure reads."""
    people = PEOPLE if people is None else people
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as con:
        con.execute("""create schema intermediate; create schema marts; create schema audit; create schema staging; use intermediate;
            create table int_identity_map (record_key varchar, role varchar, source varchar, source_id varchar, email_key varchar, person_id varchar);
            create table int_person_addresses (person_id varchar, address_type varchar, address varchar);
            create table int_address_keys (address_type varchar, address varchar, key_type varchar, key varchar);
            create table int_erased_people (person_id varchar, erased_at timestamp);
            create table staging.base_shop__customers (source_system varchar, customer_id varchar, note varchar);
            create table marts.build_settings as select date '2026-11-21' as as_of_date;
            create table audit.invocations as select 'build' as command, true as is_green, true as is_whole, 'marts' as marts_schema, now() as started_at""")
        kinds = {"shop": "customer", "app": "user", "esp": "contact"}
        records = [(f"{source}:{kinds[role]}:{name}" if name else f"shop:guest:{email}", role, source, name, email, person_id)
                   for person_id, them, _ in people for role, source, name, email in them]  # fmt: skip
        published.fill(con, "int_identity_map", records)
        addresses = {(person_id, "email", email) for *_, email, person_id in records if email}
        addresses |= {(person_id, "user_id", name) for _, role, _, name, _, person_id in records if role == "app"}
        addresses |= {(person_id, "phone", phone) for person_id, _, phone in people if phone}
        published.fill(con, "int_person_addresses", addresses)
        published.fill(con, "int_address_keys", set(spellings(people)))
        published.fill(con, "int_erased_people", erased)
        con.executemany("insert into staging.base_shop__customers values ('shop', ?, ?)", [
            (name, f'{{"said": "write to {email}"}}') for _, role, _, name, email, _ in records if role == "shop" and name])  # fmt: skip
    return path


class Home(Shop):
    """An installation of the exporter with the warehouse of the last build."""

    def __init__(self, folder):
        super().__init__(folder)
        self.warehouse = warehouse(folder / "warehouse.duckdb")

    def words(self, *words):
        places = ("--warehouse", self.warehouse, "--state", "state", "--out", "exports", "--published", self.source)
        return [str(word) for word in (*words, *places)]

    @property
    def environment(self):
        return {"DBT_LOG_PATH": str(self.folder / "logs"), "DBT_TARGET_PATH": str(self.folder / "target")}

    def erase(self, *words, code=0, given=None):
        """Run the script; what it says names nobody."""
        command = [sys.executable, str(PROJECT / "scripts/erase.py"), *self.words(*words)]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, env=os.environ | self.environment, input=given, umask=0)
        assert done.returncode == code, done.stdout + done.stderr
        assert not [secret for secret in SECRETS if secret in done.stdout + done.stderr]
        return done.stdout + done.stderr

    def rows(self):
        """The state, in the order in which it was written."""
        files = sorted((self.folder / "state/erasures").glob("*.parquet"))
        return [row for file in files for row in duckdb.execute(f"select {', '.join(erase.COLUMNS)} from '{file}' order by all").fetchall()]

    def keys(self, *, event="erased"):
        return {(row[3], row[4]) for row in self.rows() if row[1] == event}

    def receipt(self, request):
        return json.loads((self.folder / f"state/erasures/receipts/{request}.json").read_text())

    def rebuilt(self):
        """The next build, as it reads the state: pseudonyms for ids and addresses, no phones, the person's new id."""
        names = {row[4]: (row[5], row[2]) for row in self.rows()}

        def now(text, prefix=""):
            return names.get(keyed(prefix + text), (text, None))[0] if text else text

        people = []
        for person_id, records, phone in PEOPLE:
            kinds = {"shop": "shop:customer:", "app": "app:user:", "esp": "esp:contact:"}
            new = next((row[2] for row in self.rows() if row[6] == keyed(person_id)), person_id)
            people.append((new, [(role, source, now(name, kinds[role]), now(email)) for role, source, name, email in records], now(phone)))
        warehouse(self.warehouse, people)


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


OF_ANN = {
    ("record", keyed("shop:customer:17")), ("record", keyed("app:user:u1")), ("record", keyed("esp:contact:c1")), ("user_id", keyed("u1")),
    ("email", keyed("ann@example.com")), ("email", keyed("ann.lee@example.com")), ("phone", keyed("+491701234567")),
}  # fmt: skip


@pytest.mark.parametrize("who", [
    "email:ann@example.com", "email: Ann.LEE@Example.COM ", "phone:+491701234567", "phone:+49 (0)170 / 12 34 567", "phone:0049-170-1234567",
    "phone:01701234567", "phone:1701234567", f"id:{ANN}", "id:17", "id:shop:customer:17", "id:u1", "id:app:user:u1", "id:esp:contact:c1"])  # fmt: skip
def test_a_person_is_found_under_every_id_and_address_and_erased_under_all(home, who):
    kind, _, text = who.partition(":")
    assert "3 records, 2 e-mail addresses, 1 phone number" in home.erase(f"--{kind}", "-", "--request", "R1", "--received", "2026-11-01", given=text)
    rows = home.rows()
    assert home.keys() == OF_ANN and len(rows) == len(OF_ANN)
    ((new, old),) = {(row[2], row[6]) for row in rows}
    assert old == keyed(ANN) and len(new) == 32 and new != ANN and int(new, 16)
    pseudonyms = {(row[3], row[4]): row[5] for row in rows}
    assert pseudonyms["user_id", keyed("u1")] == pseudonyms["record", keyed("app:user:u1")]
    assert pseudonyms["phone", keyed("+491701234567")] is None
    assert all(name.endswith("@erased.invalid") and len(name) == 47 for (kind, _), name in pseudonyms.items() if kind == "email")
    assert len({*pseudonyms.values()}) == 6
    assert {(row[0], row[1], str(row[7])) for row in rows} == {("R1", "erased", "2026-11-01 00:00:00")}


def test_the_same_again_writes_nothing_before_and_after_the_build(home):
    home.erase("--email", "ann@example.com", "--request", "R1")
    before = home.rows()
    for build in (lambda: None, home.rebuilt):
        build()
        for who in (("--email", "ann@example.com"), ("--id", "u1"), ("--id", ANN), ("--phone", "+491701234567"), ("--id", before[0][2])):
            assert home.erase(*who).startswith("R1: nothing new: erased, since ")
        assert home.rows() == before


def test_an_address_of_several_is_blocked_and_erases_nobody_until_one_is_named(home):
    assert "2 people share this address: it is blocked, and nobody is erased; say who by --id" in home.erase("--phone", "030 555777", "--request", "R1")
    assert [(row[2:4], row[4], row[6]) for row in home.rows()] == [((None, "phone"), keyed("+4930555777"), None)]
    assert "2 people share" in home.erase("--email", "info@example.com", "--request", "R2")
    blocked = {row[4]: row[5] for row in home.rows()}
    home.rebuilt()
    assert "R2: nothing new" in home.erase("--email", "info@example.com")
    home.erase("--id", "shop:customer:19", "--request", "R3")
    named = [row for row in home.rows() if row[0] == "R3"]
    assert {(row[3], row[4]) for row in named} == {("record", keyed("shop:customer:19")), ("email", keyed("info@example.com"))}
    assert blocked[keyed("info@example.com")] in {row[5] for row in named}, "one name for one address"
    assert home.receipt("R3")["not_erased"] == 1 and home.receipt("R3")["reference"] == keyed(DORA)[:16]


def test_the_mailbox_of_another_spelling_is_not_the_person(home):
    home.erase("--email", "ben.k@gmail.com", "--request", "R1")
    assert ("record", keyed("shop:customer:42")) not in home.keys() and ("record", keyed("app:user:42")) in home.keys()
    assert home.receipt("R1")["not_erased"] == 1


def test_an_address_that_nobody_has_is_blocked_and_can_be_lifted_by_an_operator(home):
    assert "nobody in the last build has this address; it is blocked" in home.erase("--email", "New@Example.com", "--request", "R1")
    assert home.keys() == {("email", keyed("new@example.com"))} and {row[2] for row in home.rows()} == {None}
    assert "give --email or --phone, and the --request" in home.erase("lift", "--email", "new@example.com", code=2)
    assert "not blocked" in home.erase("lift", "--email", "else@example.com", "--request", "L1", code=2)
    assert "no longer blocked" in home.erase("lift", "--email", "new@example.com", "--request", "L1")
    assert home.keys(event="lifted") == {("email", keyed("new@example.com"))}
    assert "nothing new" in home.erase("lift", "--email", "new@example.com", "--request", "L1")
    assert len(home.rows()) == 2
    home.erase("--email", "new@example.com", "--request", "R2")
    assert [row[:2] for row in home.rows()] == [("R1", "erased"), ("L1", "lifted"), ("R2", "erased")]


def test_the_guest_of_an_address_is_a_person_too(home):
    home.erase("--email", "guest@example.com")
    assert [(row[3], row[4], row[6]) for row in home.rows()] == [("email", keyed("guest@example.com"), keyed(GUEST))]


@pytest.mark.parametrize(("words", "said"), [
    (("--id", "42"), "2 people have that id; say which, as one of app:user:ID, shop:customer:ID"),
    (("--id", "nobody"), "there is nobody with that id"), (("--id", "shop:guest:guest@example.com"), "there is nobody with that id"),
    (("--email", "ann"), "no e-mail address"), (("--phone", "call me"), "no phone number"), (("--email", " "), "nothing was given"),
    ((), "give one of"), (("receipts", "--id", "17"), "give one of"), (("--id", "17", "--request", "../R"), "letters, digits"),
])  # fmt: skip
def test_what_cannot_be_done_says_why_and_writes_nothing(home, words, said):
    assert said in home.erase(*words, code=2)
    assert home.rows() == []


def test_a_warehouse_that_is_not_there_or_never_built_is_said(home):
    home.warehouse.unlink()
    assert "there is no warehouse" in home.erase("--id", "17", code=2)
    duckdb.connect(str(home.warehouse)).close()
    assert "run `dbt build`" in home.erase("--id", "17", code=3)


def test_erasures_that_come_as_raw_rows_become_state(home):
    warehouse(home.warehouse, erased=[(ANN, "2026-10-01 08:00:00"), (EVE, "0001-01-01")])
    assert json.loads(home.erase("--from-build", "--json")) == {"recorded": 2}
    found = {row[0]: (row[6], str(row[7]), str(row[8])) for row in home.rows()}
    assert found == {"raw-2026-11-21-2": (keyed(ANN), *["2026-10-01 08:00:00"] * 2), "raw-2026-11-21-1": (keyed(EVE), *["2026-11-21 00:00:00"] * 2)}
    assert OF_ANN < home.keys()
    assert json.loads(home.erase("--from-build", "--json")) == {"recorded": 0}
    home.rebuilt()
    with duckdb.connect(str(home.warehouse)) as con:  # the build says who is erased, by the new ids
        con.execute("insert into intermediate.int_erased_people select distinct person_id, timestamp '2026-10-01' from intermediate.int_identity_map "
                    "where source_id not in ('18', '42', '19')")  # fmt: skip
    assert json.loads(home.erase("--from-build", "--json")) == {"recorded": 0}
    with duckdb.connect(str(home.warehouse)) as con:
        con.execute("update audit.invocations set is_green = false")
    assert "did not end green" in home.erase("--from-build", code=3)
