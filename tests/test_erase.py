"""Erasure: whom it finds, what it writes into the state, what it takes out of the rest, and what its receipts say."""

import fcntl
import hashlib
import hmac
import json
import os
import random
import shutil
import stat
import subprocess
import sys
from contextlib import contextmanager

import duckdb
import pytest

import published
from audience_export.ledger import Ledger
from erasure_state import COLUMNS
from published import person, suppression
from shop import OPEN, Shop
from support import PROJECT

ANN, BEN, CLEO, DORA, EVE, GUEST = "a1" * 16, "b2" * 16, "c3" * 16, "d4" * 16, "e5" * 16, "f6" * 16
# person, records (role, source, id, e-mail), phone as E.164
PEOPLE = [
    (
        ANN,
        [
            ("shop", "shop", "17", "ann@example.com"),
            ("app", "app", "u1", "ann@example.com"),
            ("esp", "esp", "c1", "ann.lee@example.com"),
        ],
        "+491701234567",
    ),
    (BEN, [("shop", "shop", "18", "ben.k@gmail.com"), ("app", "app", "42", None)], "+4930555777"),
    (CLEO, [("shop", "shop", "42", "benk+news@gmail.com")], "+4930555777"),
    (DORA, [("shop", "shop", "19", "info@example.com")], None),
    (EVE, [("shop", "shop", "20", "info@example.com"), ("app", "app", "u5", "eve@example.com")], "+33612345678"),
    (GUEST, [("shop", "shop", None, "guest@example.com")], None),
]
SECRETS = {
    value for person_id, records, phone in PEOPLE for value in (person_id, phone, *(mail for *_, mail in records)) if value
}


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
            create table int_suppressions (address_type varchar, address varchar, channel varchar, reason varchar);
            create table staging.base_shop__customers (source_system varchar, customer_id varchar, note varchar);
            create table marts.build_settings as select date '2026-11-21' as as_of_date, 'Europe/Berlin' as business_time_zone;
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
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, env=os.environ | self.environment, input=given, umask=0
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert not [secret for secret in SECRETS if secret in done.stdout + done.stderr]
        return done.stdout + done.stderr

    def rows(self):
        """The state, in the order in which it was written."""
        files = sorted((self.folder / "state/erasures").glob("*.parquet"))
        return [
            row
            for file in files
            for row in duckdb.execute(f"select {', '.join(COLUMNS)} from '{file}' order by all").fetchall()
        ]

    def blocked(self, *, event="erased"):
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
            people.append(
                (new, [(role, source, now(name, kinds[role]), now(email)) for role, source, name, email in records], now(phone))
            )
        warehouse(self.warehouse, people)


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


OF_ANN = {
    ("record", keyed("shop:customer:17")), ("record", keyed("app:user:u1")), ("record", keyed("esp:contact:c1")), ("user_id", keyed("u1")),
    ("email", keyed("ann@example.com")), ("email", keyed("ann.lee@example.com")), ("phone", keyed("+491701234567")),
    *(("phone_form", keyed(form)) for form in ("491701234567", "1701234567", "01701234567")),
}  # fmt: skip


@pytest.mark.parametrize("who", [
    "email:ann@example.com", "email: Ann.LEE@Example.COM ", "phone:+491701234567", "phone:+49 (0)170 / 12 34 567", "phone:0049-170-1234567",
    "phone:01701234567", "phone:1701234567", f"id:{ANN}", "id:17", "id:shop:customer:17", "id:u1", "id:app:user:u1", "id:esp:contact:c1"])  # fmt: skip
def test_a_person_is_found_under_every_id_and_address_and_erased_under_all(home, who):
    kind, _, text = who.partition(":")
    assert "3 records, 2 e-mail addresses, 1 phone number" in home.erase(
        f"--{kind}", "-", "--request", "R1", "--received", "2026-11-01", given=text
    )
    rows = home.rows()
    assert home.blocked() == OF_ANN and len(rows) == len(OF_ANN)
    ((new, old),) = {(row[2], row[6]) for row in rows}
    assert old == keyed(ANN) and len(new) == 32 and new != ANN and int(new, 16)
    pseudonyms = {(row[3], row[4]): row[5] for row in rows}
    assert pseudonyms["user_id", keyed("u1")] == pseudonyms["record", keyed("app:user:u1")]
    assert pseudonyms["phone", keyed("+491701234567")] is None
    assert all(name.endswith("@erased.invalid") and len(name) == 47 for (kind, _), name in pseudonyms.items() if kind == "email")
    assert len({*pseudonyms.values()}) == 6, "five, and none of phones"
    assert {(row[0], row[1], str(row[7])) for row in rows} == {("R1", "erased", "2026-11-01 00:00:00")}


def test_the_same_again_writes_nothing_before_and_after_the_build(home):
    home.erase("--email", "ann@example.com", "--request", "R1")
    before = home.rows()
    for build in (lambda: None, home.rebuilt):
        build()
        for who in (
            ("--email", "ann@example.com"),
            ("--id", "u1"),
            ("--id", ANN),
            ("--phone", "+491701234567"),
            ("--id", before[0][2]),
        ):
            assert home.erase(*who).startswith("R1: nothing new: erased, since ")
        assert home.rows() == before


def test_an_address_of_several_is_blocked_and_erases_nobody_until_one_is_named(home):
    assert "2 people share this address: it is blocked, and nobody is erased; say who by --id" in home.erase(
        "--phone", "030 555777", "--request", "R1"
    )
    assert home.blocked() == {("phone", keyed("+4930555777")), *(("phone_form", keyed(form)) for form in ("4930555777", "30555777", "030555777"))}
    assert {(row[2], row[5], row[6]) for row in home.rows()} == {(None, None, None)}
    assert "2 people share" in home.erase("--email", "info@example.com", "--request", "R2")
    blocked = {row[4]: row[5] for row in home.rows()}
    home.rebuilt()
    assert "R2: nothing new" in home.erase("--email", "info@example.com")
    home.erase("--id", "shop:customer:19", "--request", "R3")
    named = [row for row in home.rows() if row[0] == "R3"]
    assert {(row[3], row[4]) for row in named} == {("record", keyed("shop:customer:19")), ("email", keyed("info@example.com"))}
    assert blocked[keyed("info@example.com")] in {row[5] for row in named}, "one name for one address"
    assert home.receipt("R3")["not_erased"] == 1 and home.receipt("R3")["reference"] == keyed(DORA)[:16]


def test_a_request_may_be_given_again_for_what_is_new_in_it(home):
    home.erase("--phone", "+4930555777", "--request", "R1")
    blocked = home.receipt("R1")
    home.erase("--id", "18", "--request", "R1")
    erased = home.receipt("R1")
    assert blocked["blocked"] == {"records": 0, "e-mail addresses": 0, "phone numbers": 1} and blocked["reference"] is None
    assert erased["blocked"]["records"] == 2 and erased["reference"] == keyed(BEN)[:16]
    assert erased["before"]["warehouse"] > blocked["before"]["warehouse"] > 0
    assert blocked["not_erased"] == 2 and erased["not_erased"] == 1


def test_a_blocked_address_is_counted_on_after_one_of_its_people_is_erased(home):
    home.erase("--phone", "+4930555777", "--request", "R1")
    home.erase("--id", "18", "--request", "R2")
    receipt = home.receipt("R1")
    assert receipt["status"] == "open" and receipt["after"]["warehouse"] == receipt["before"]["warehouse"] > 0


def test_what_a_receipt_counts_is_every_cell_with_an_id_or_address(home):
    """By hand: rows of Ann in the tables above, and her address within a text."""
    home.erase("--id", "17", "--request", "R1", "--received", "2020-01-01")
    # int_identity_map: 3 rows of record_key, e-mail, person_id, and the app's source_id; int_person_addresses: 4 rows (2 e-mails, phone, user id) of
    # person_id and address; int_address_keys: e-mails 2 x 2, phone in 4 spellings;
    # base_shop__customers: the id, and the e-mail in a note
    assert home.receipt("R1")["before"]["warehouse"] == (3 * 3 + 1) + 4 * 2 + (4 + 8) + 2
    assert home.receipt("R1")["after"] == home.receipt("R1")["before"], "nothing was built since"
    assert home.erase("receipts").startswith("R1: open, OVERDUE since 2020-01-31: 32 cells of warehouse")
    assert home.receipt("R1")["raw_tables"] == {}
    with duckdb.connect(str(home.warehouse)) as con:
        con.execute("create schema raw_import; create view raw_import.shop_customers as select * from warehouse.staging.base_shop__customers")
        con.execute("create table passing (email varchar); create view raw_import.app_users as from passing; drop table passing")
    home.erase("receipts")
    assert home.receipt("R1")["raw_tables"] == {"shop_customers": 1, "app_users": None}
    home.rebuilt()
    new = next(row[2] for row in home.rows())
    with duckdb.connect(str(home.warehouse)) as con:  # as the build counts them
        con.execute(f"""create schema raw_import; create table raw_import.erased_rows as select * from (values ('shop', 'customers', '{new}', 1, 0),
            ('esp', 'contacts', '{new}', 2, 0), ('esp', 'contacts', null, 0, 3)) t(source, table_name, person_id, row_count, blocked_rows)""")
    home.erase("receipts")
    assert home.receipt("R1")["raw_tables"] == {"shop_customers": 1, "esp_contacts": 2}
    after = home.receipt("R1")["after"]
    assert after["warehouse"] == 0 and after["published"] > 0, "which is not of this warehouse"


def test_the_mailbox_of_another_spelling_is_not_the_person(home):
    home.erase("--email", "ben.k@gmail.com", "--request", "R1")
    assert ("record", keyed("shop:customer:42")) not in home.blocked() and ("record", keyed("app:user:42")) in home.blocked()
    assert home.receipt("R1")["not_erased"] == 1


def test_an_address_that_nobody_has_is_blocked_and_can_be_lifted_by_an_operator(home):
    assert "nobody in the last build has this address; it is blocked" in home.erase(
        "--email", "New@Example.com", "--request", "R1"
    )
    assert home.blocked() == {("email", keyed("new@example.com"))} and {row[2] for row in home.rows()} == {None}
    assert "give --email or --phone, and the --request" in home.erase("lift", "--email", "new@example.com", code=2)
    assert "not blocked" in home.erase("lift", "--email", "else@example.com", "--request", "L1", code=2)
    assert "no longer blocked" in home.erase("lift", "--email", "new@example.com", "--request", "L1")
    assert home.blocked(event="lifted") == {("email", keyed("new@example.com"))}
    assert "nothing new" in home.erase("lift", "--email", "new@example.com", "--request", "L1")
    assert len(home.rows()) == 2
    home.erase("--phone", "+4930111222", "--request", "P1")
    home.erase("lift", "--phone", "0049 30 111222", "--request", "P2")
    assert {row[3:5] for row in home.rows() if row[0] == "P1"} == {row[3:5] for row in home.rows() if row[0] == "P2"}, "in all forms"
    home.erase("--email", "new@example.com", "--request", "R2")
    assert [row[:2] for row in home.rows() if row[0][0] != "P"] == [("R1", "erased"), ("L1", "lifted"), ("R2", "erased")]


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
    assert {
        "raw-2026-11-21-2": (keyed(ANN), *["2026-10-01 06:00:00"] * 2),  # in UTC, of which int_erasures makes 8 o'clock again
        "raw-2026-11-21-1": (keyed(EVE), *["2026-11-20 23:00:00"] * 2),
    } == found
    assert home.blocked() > OF_ANN
    assert json.loads(home.erase("--from-build", "--json")) == {"recorded": 0}
    home.rebuilt()
    with duckdb.connect(str(home.warehouse)) as con:  # the build says who is erased, by the new ids
        con.execute("insert into intermediate.int_erased_people select distinct person_id, timestamp '2026-10-01' from intermediate.int_identity_map "
                    "where source_id not in ('18', '42', '19')")  # fmt: skip
    assert json.loads(home.erase("--from-build", "--json")) == {"recorded": 0}
    with duckdb.connect(str(home.warehouse)) as con:
        con.execute("update audit.invocations set is_green = false")
    assert "did not end green" in home.erase("--from-build", code=3)


def test_an_erasure_of_nobodys_address_in_raw_data_is_remembered_until_it_is_lifted(home):
    def erased(*rows):
        with duckdb.connect(str(home.warehouse)) as con:
            con.executemany("insert into intermediate.int_suppressions values (?, ?, 'email', ?)", [list(row) for row in rows])

    erased(("email", "gone@example.com", "erased"), ("email", "rude@example.com", "complaint"), ("email", f"{'0' * 32}@erased.invalid", "erased"))
    assert json.loads(home.erase("--from-build", "--json")) == {"recorded": 1}
    assert home.blocked() == {("email", keyed("gone@example.com"))}
    assert json.loads(home.erase("--from-build", "--json")) == {"recorded": 0}
    home.erase("lift", "--email", "gone@example.com", "--request", "L1")
    assert json.loads(home.erase("--from-build", "--json")) == {"recorded": 0}, "who lifted it has the last word"


@pytest.mark.parametrize(("given", "words", "read"), [
    (["EMAIL=ann@example.com", "REQUEST=R 1"], "scripts/erase.py|--email|-|--request|R 1|", "ann@example.com"), (["ID=1 7'"], "scripts/erase.py|--id|-|", "1 7'"),
    (["PHONE=-", "LIFT=1", "REQUEST=L"], "scripts/erase.py|lift|--phone|-|--request|L|", "typed"), ([], "scripts/erase.py|", None),
    (["ID=17", "PHONE=1"], "scripts/erase.py|--id|-|--phone|-|", None),
])  # fmt: skip
def test_make_hands_the_value_over_by_standard_input(tmp_path, given, words, read):
    """And takes none from the environment, where EMAIL may be anybody's."""
    for name in ("Makefile", "requirements/core.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(PROJECT / name, tmp_path / name)
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nprintf '%s|' \"$@\"; echo; read -r line; echo \"$line\"\n")
    python.chmod(0o755)
    (tmp_path / ".venv/core").touch()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # the tests may be run by make
    done = subprocess.run(["make", "erase", *given], cwd=tmp_path, capture_output=True, text=True, input="typed\n",
                          env=environment | {"EMAIL": "me@example.com"})  # fmt: skip
    found = done.stdout.splitlines()
    assert found[0] == words and (read is None or found[1] == read), done.stdout + done.stderr


# ---- what was written before ----

RUNS = [f"202611{22 + n}T060000Z" for n in range(8)]
DELIVERIES = {  # delivery: what of Ann it is given
    "csv": ({"channel": "email", "fields": ["first_name"]}, {"ann@example.com"}),
    "klaviyo_sms": ({"destination": "klaviyo", "channel": "sms"}, {"+491701234567"}),
    "braze_push": ({"destination": "braze", "channel": "push"}, {"u1"}),
    "meta": ({"channel": "ads"}, {hashlib.sha256(b"ann@example.com").hexdigest(), hashlib.sha256(b"491701234567").hexdigest()}),
    "hashed_csv": ({"channel": "ads", "salt_env": "TEST_SALT"}, {hashlib.sha256(b"pepperann@example.com").hexdigest()}),
}
OTHERS = [person(f"p{i:03}", f"person{i}@example.com", f"+1415555{i:04}", app_user_id=f"n{i}") for i in range(5)]
ANN_TODAY = person(ANN, "ann@example.com", "+491701234567", app_user_id="u1", country="DE")


def day(home, number, people, listed=()):
    home.publish([*people, *OTHERS], list(listed))
    home("run", now=f"2026-11-{22 + number}T06:00:00", code=0, env={"TEST_SALT": "pepper"})


def ack(home, number):
    home("ack", RUNS[number], code=0, env={"TEST_SALT": "pepper"})


@pytest.fixture
def delivered(home):
    """Two days: the first acknowledged, the second lying there; audience events, a quarantine log and logs of commands."""
    home.configure(
        {name: {**given, "audiences": ["at_risk"]} for name, (given, _) in DELIVERIES.items()},
        {**OPEN, "source_age_hours": "off"},
    )
    day(home, 0, [ANN_TODAY])
    ack(home, 0)
    day(home, 1, [ANN_TODAY])
    events = home.folder / "state/audience_events"
    events.mkdir()
    for number in (21, 22):
        duckdb.execute(f"""copy (select date '2026-11-{number}' as as_of_date, 'at_risk' as audience, event, person_id, null::date as entered_on,
            false as is_holdout, 0.1 as holdout_share from (values ('entered', '{ANN}'), ('entered', 'p000'), ('built', null)) as t(event, person_id))
            to '{events}/2026-11-{number}.parquet' (format parquet)""")
    logs = home.folder / "state/deliveries/logs"
    logs.mkdir(parents=True)
    (logs / f"{RUNS[0]}-quarantine.csv").write_text(
        f"person_id,delivery,audience,field,rule\n{ANN},csv,at_risk,x,y\np001,csv,at_risk,x,y\n"
    )
    (logs / f"{RUNS[0]}-csv.log").write_text("imported ann@example.com")
    for path in (home.folder / "state").rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return home


def people_of(pattern):
    return sorted(
        str(row[0])
        for row in duckdb.execute(f"select distinct person_id from read_parquet('{pattern}', union_by_name = true)").fetchall()
    )


def told(home, name, run):
    """All cells of what a run says to suppress or remove in a delivery."""
    folder = home.folder / "exports" / run / name
    return {cell for path in folder.iterdir() if path.name.startswith(("suppress", "at_risk.removed")) for line in path.read_text().splitlines()
            for cell in line.split(",")}  # fmt: skip


def check_clean(home):
    """Nothing in state and exports is of Ann's old id, and only what destinations must still be told has her addresses."""
    state = home.folder / "state"
    assert people_of(f"{state}/audience_events/*.parquet") == ["None", "p000"]
    events = duckdb.execute(f"select count(*) from '{state}/audience_events/*.parquet'").fetchone()
    assert events == (4,), "of everybody else they stay"
    (new,) = {row[2] for row in home.rows()}
    assert set(people_of(f"{state}/deliveries/ledger/*.parquet")) - {"None"} == {new, *(f"p{i:03}" for i in range(5))}
    assert (state / f"deliveries/logs/{RUNS[0]}-quarantine.csv").read_text().splitlines()[1:] == ["p001,csv,at_risk,x,y"]
    assert not list(state.glob("deliveries/logs/*.log"))
    assert [path.name for path in (home.folder / "exports").iterdir()] == []
    ledger = Ledger(state)
    assert not [entry.run for entry in ledger.entries if entry.died is None]
    named = {part["file"] for part in ledger.parts}
    for path in ledger.folder.glob("*.parquet"):
        assert path.name in named or ANN not in str(duckdb.execute(f"from '{path}'").fetchall())
    assert [
        path
        for path in home.folder.rglob("*")
        if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077 and path.is_relative_to(state)
    ] == []
    assert not [path for path in state.rglob("*") if path.name.endswith(".partial")]


def listed():
    """What the marts have of her addresses after the next build."""
    return [suppression(channel, kind, None, "erased", hashlib.sha256(address.encode()).hexdigest()) for channel in published.CHANNELS
            for kind, address in (("email", "ann@example.com"), ("phone", "+491701234567"), ("user_id", "u1"))]  # fmt: skip


def test_whatever_was_written_before_goes_and_every_destination_is_told_and_the_receipt_says_so(delivered):
    home = delivered
    assert "1 runs of the exporter withdrawn" in home.erase(
        "--email", "ann@example.com", "--request", "R1", "--received", "2026-11-20"
    )
    check_clean(home)
    receipt = home.receipt("R1")
    assert (receipt["status"], receipt["due"], receipt["reference"]) == ("open", "2026-12-20", keyed(ANN)[:16])
    # two runs of four files with an address or hash that tells one, and of one more with a person_id in quarantine, none; salted hashes tell nothing
    assert receipt["before"]["exports"] > 0 and receipt["after"]["exports"] == 0
    assert receipt["before"]["state"] > receipt["after"]["state"] > 0, "what is still to be told"
    assert receipt["before"]["published"] == receipt["after"]["published"] > 0, "until it is built again"
    assert {line["delivery"]: (line["status"], line["run"]) for line in receipt["destinations"]} == dict.fromkeys(
        DELIVERIES, ("open", None)
    )

    (new,) = {row[2] for row in home.rows()}
    home.rebuilt()
    gone = person(new, None, stage="erased", audiences=(), blocked=dict.fromkeys(published.CHANNELS, "erased"))
    day(home, 2, [gone], listed())
    for name, (_, values) in DELIVERIES.items():
        assert values <= told(home, name, RUNS[2]), name
    said = home.erase("receipts")
    assert said.startswith("R1: open, due 2026-12-20: ") and all(f"{name} has not confirmed it" in said for name in DELIVERIES)
    receipt = home.receipt("R1")
    assert {line["run"] for line in receipt["destinations"]} == {RUNS[2]} and receipt["after"]["warehouse"] == receipt["after"][
        "published"
    ] == 0

    ack(home, 2)
    said = home.erase("receipts")
    receipt = home.receipt("R1")
    assert {(line["status"], line["run"], bool(line["acknowledged_at"])) for line in receipt["destinations"]} == {
        ("done", RUNS[2], True)
    }
    assert "confirmed" not in said and "cells of state" in said, "the ledger forgets with the next run"
    for number in (3, 4):  # a full run tells it once more
        day(home, number, [gone], listed())
        ack(home, number)
    day(home, 5, [gone], listed())
    assert home.erase("receipts") == "no erasure is open\n"
    receipt = home.receipt("R1")
    assert receipt["status"] == "done" and receipt["after"] == dict.fromkeys(receipt["after"], 0)
    assert {(line["status"], line["run"]) for line in receipt["destinations"]} == {("done", RUNS[2])}
    page = (home.folder / "state/erasures/receipts/R1.html").read_text()
    assert (
        "<script" not in page and not [secret for secret in SECRETS if secret in page + json.dumps(receipt)] and new not in page
    )


def test_an_erasure_after_another_leaves_the_runs_since_then(delivered):
    home = delivered
    home.erase("--id", "17", "--request", "R1")
    (new,) = {row[2] for row in home.rows()}
    day(home, 2, [person(new, None, stage="erased", audiences=())], listed())
    home.erase("--id", "17")
    home.erase("receipts")
    assert (home.folder / "exports" / RUNS[2]).exists()
    day(home, 3, [ANN_TODAY])  # from marts of before: somebody published an old warehouse
    home.erase("receipts")
    assert not (home.folder / "exports" / RUNS[3]).exists() and ANN not in people_of(
        f"{home.folder}/state/deliveries/ledger/*.parquet"
    )


@contextmanager
def held(path):
    """A lock that another process holds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.mark.parametrize("lock", ["deliveries/locks/csv.lock", "audience_events/.record.lock", "erasures/.erase.lock"])
def test_it_waits_for_nobody_and_writes_nothing_while_another_is_at_work(delivered, lock):
    with held(delivered.folder / "state" / lock):
        assert "try again" in delivered.erase("--id", "17", code=75)
    assert delivered.rows() == []


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import erase
moment, count = int(sys.argv[2]), 0
def killing(work):
    def call(*arguments, **named):
        global count
        count += 1
        if count == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        return work(*arguments, **named)
    return call
for name in ("replace", "link", "rename", "unlink", "rmdir", "fsync"):
    setattr(os, name, killing(getattr(os, name)))
code = erase.main(sys.argv[3:])
print(count)
sys.exit(code)
"""


def test_killed_at_any_moment_the_same_command_completes_it(delivered, tmp_path_factory):
    home, trial = delivered, tmp_path_factory.mktemp("trial")

    def run(moment):
        shutil.rmtree(trial)
        shutil.copytree(home.folder, trial)
        command = [sys.executable, "-c", KILLED, str(PROJECT / "scripts"), str(moment), *home.words("--id", "17")]
        return subprocess.run(command, cwd=trial, capture_output=True, text=True, env=os.environ | home.environment)

    steps = int(run(0).stdout.splitlines()[-1])
    moments = range(1, steps + 1) if os.environ.get("TEST_LONG") else sorted(random.Random(20).sample(range(1, steps + 1), 20))
    there = object.__new__(Home)
    there.folder, there.source, there.warehouse = trial, home.source, home.warehouse
    for moment in moments:
        assert run(moment).returncode == -9
        there.erase("--id", "17")
        assert there.blocked() == OF_ANN and len(there.rows()) == len(OF_ANN), moment
        check_clean(there)
        (receipt,) = (trial / "state/erasures/receipts").glob("*.json")
        assert json.loads(receipt.read_text())["status"] == "open"
        assert receipt.with_suffix(".html").exists()
    assert steps >= 20


def test_no_receipt_before_anybody_is_erased(home):
    assert home.erase("receipts") == "nobody is erased\n"
