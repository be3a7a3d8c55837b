"""An erasure drill: five people of a shop, after three delivered days, and every cell of every table and file read afterwards."""

import csv
import hashlib
import json
import re
import subprocess
import sys
from datetime import timedelta

import duckdb
import pytest

from morning import YESTERDAY, Morning
from support import PROJECT, script

BUILD = "raw checks,build,audit,publish,record,report"
OPEN = dict.fromkeys(("empty", "shrank", "grew", "removed", "quarantined", "suppression_shrank", "source_age_hours", "consent_age_days", "load_age_hours"), "off")
DELIVERIES = {
    "mail": {"destination": "csv", "channel": "email"}, "sms": {"destination": "csv", "channel": "sms"},
    "push": {"destination": "csv", "channel": "push"}, "ads": {"destination": "meta", "channel": "ads", "mode": "delta"},
}  # fmt: skip
PEOPLE = ("by_email", "by_phone", "wife", "deleted", "returned")


class Drill(Morning):
    def __init__(self, folder):
        super().__init__(folder)
        self.raw, self.day = self.places["LIFECYCLE_RAW"], 0

    def export(self):
        """A run of the exporter, with every audience on every channel."""
        self.day += 1
        audiences = [name for (name,) in self.ask("select audience from marts.audience_summary order by 1", self.published)]
        node = {"settings": {"guards": OPEN}, "deliveries": {name: {**given, "audiences": audiences} for name, given in DELIVERIES.items()}}
        (self.folder / "destinations.yml").write_text(json.dumps(node))
        now = f"{YESTERDAY + timedelta(self.day)}T06:00:00"
        done = script("export_audiences.py", "run", "--json", "--config", self.folder / "destinations.yml", "--out", self.folder / "exports",
                      "--state", self.folder / "state", "--from", self.published, "--now", now)  # fmt: skip
        assert done.returncode in (0, 5), done.stdout + done.stderr
        return json.loads(done.stdout)

    def ack(self, run):
        for name in DELIVERIES:
            done = script("export_audiences.py", "ack", run, "--destination", name, "--out", self.folder / "exports", "--state", self.folder / "state")
            assert done.returncode == 0, done.stderr

    def erase(self, *words):
        command = [sys.executable, PROJECT / "scripts/erase.py", *map(str, words), "--out", self.folder / "exports", "--state", self.folder / "state",
                   "--warehouse", self.places["LIFECYCLE_WAREHOUSE"], "--published", self.published]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def rewrite(self, table, query):
        """Change a raw table; `query` reads it as raw."""
        path = self.raw / f"{table}.parquet"
        with duckdb.connect() as con:
            con.execute(f"create table raw as from read_parquet('{path}')")
            con.execute(f"copy ({query}) to '{path}' (format parquet)")

    def ask(self, query, database=None):
        with duckdb.connect(str(database or self.places["LIFECYCLE_WAREHOUSE"]), read_only=True) as con:
            return con.execute(query).fetchall()

    def plant(self):
        """Let some with every address say yes on every channel, and each second one have the phone of the one before."""
        with duckdb.connect() as con:
            raw = {name: f"'{self.raw}/{name}.parquet'" for name in ("shop/customers", "app/users", "shop/orders", "esp/suppressions")}
            self.fit = con.execute(f"""select customer_id, lower(trim(email)), phone, user_id from {raw["shop/customers"]} customers
                join (select customer_id, min(user_id) as user_id from {raw["app/users"]} group by customer_id having count(*) = 1) using (customer_id)
                where starts_with(phone, '+') and deleted_at is null and email like '%_@_%' and customer_id in (select customer_id from {raw["shop/orders"]})
                and lower(trim(email)) not in (select lower(trim(email)) from {raw["esp/suppressions"]} where email is not null)
                qualify count(*) over (partition by lower(trim(email))) = 1 and count(*) over (partition by phone) = 1
                order by customer_id limit 20""").fetchall()
        shared = {husband[0]: wife[2] for wife, husband in zip(self.fit[::2], self.fit[1::2], strict=True)}
        phones = " ".join(f"when '{customer}' then '{phone}'" for customer, phone in list(shared.items())[:4])
        self.rewrite("shop/customers", f"select * replace (case customer_id {phones} else phone end as phone) from raw")
        yeses = " union all by name ".join(
            f"select * replace ({', '.join(f'{value} as {name}' for name, value in {'email': 'null', 'phone': 'null', 'user_id': 'null', column: repr(value)}.items())}, "
            f"'{channel}' as channel, 'opted_in' as status, 'drill' as source, timestamp '{YESTERDAY} 09:00:00' as changed_at) from one"
            for customer, email, phone, user in self.fit
            for channel, column, value in [("email", "email", email), ("ads", "email", email), ("sms", "phone", phone), ("push", "user_id", user)])  # fmt: skip
        self.rewrite("esp/consents", f"with one as (from raw limit 1) select * from raw union all by name {yeses}")

    def choose(self):
        """Who is to be erased: people who were delivered; the wife of one of the couples, the others of no couple."""
        members = {customer for (customer,) in self.ask("""select primary_customer_id from marts.customers where can_email and can_sms and can_push and can_ads
            and person_id in (select person_id from marts.audience_members where not coalesce(is_holdout, false))""")}  # fmt: skip
        couple = next(pair for pair in zip(self.fit[:8:2], self.fit[1:8:2], strict=True) if pair[0][0] in members)
        others = [one for one in self.fit[8:] if one[0] in members]
        self.ids = {"wife": couple[0][0], "husband": couple[1][0], **dict(zip(("by_email", "by_phone", "deleted", "returned"), (one[0] for one in others), strict=False))}
        assert {*self.ids} == {*PEOPLE, "husband"}

    def new_ids(self):
        with duckdb.connect() as con:
            return [row[0] for row in con.execute(f"select distinct person_id from '{self.folder}/state/erasures/*.parquet' "
                                                 "where person_id is not null and request like 'R-%'").fetchall()]  # fmt: skip

    # ---- every cell ----

    def databases(self):
        yield "warehouse", self.places["LIFECYCLE_WAREHOUSE"]
        yield "published", self.published

    def cells(self):
        """(where, text) of every distinct text in every table and file that the project wrote."""
        for store, path in self.databases():
            with duckdb.connect(str(path), read_only=True) as con:
                for schema, table in con.execute("select schema_name, table_name from duckdb_tables()").fetchall():
                    yield from columns(con, f'"{schema}"."{table}"', f"{store}: {schema}.{table}")
        for folder in ("state", "exports", "published", "target", "logs"):
            for path in sorted(path for path in (self.folder / folder).rglob("*") if path.is_file() and path.suffix != ".duckdb"):
                where = str(path.relative_to(self.folder))
                if path.suffix == ".parquet":
                    with duckdb.connect() as con:
                        yield from columns(con, f"read_parquet('{path}')", where)
                elif path.suffix == ".csv":
                    yield from ((where, cell) for row in csv.reader(path.read_text("utf-8").splitlines()) for cell in row)
                else:
                    yield where, path.read_text("utf-8", errors="replace")

    def found(self, identifiers):
        """{where: identifiers} of the cells that are or have one of them as a word."""
        found = {}
        for where, text in self.cells():
            words = {text.lower().strip(), *re.split(r"[\s:,;|\"'\[\]{}()<>/=]+", text.lower())}
            if hits := words & identifiers.keys():
                found.setdefault(where, set()).update(hits)
        return found


def columns(con, relation, where):
    for column, kind, *_ in con.execute(f"describe from {relation}").fetchall():
        shown = f'hex("{column}")' if kind == "BLOB" else f'cast("{column}" as varchar)'
        extra = f' union all select cast("{column}" as varchar) from {relation}' if kind == "BLOB" else ""
        for (text,) in con.execute(f"select distinct text from (select {shown} as text from {relation}{extra}) where text is not null").fetchall():
            yield where, text


@pytest.fixture(scope="module")
def drill(tmp_path_factory):
    drill = Drill(tmp_path_factory.mktemp("drill"))
    made = script("generate_demo_data.py", "--customers", 300, "--as-of", YESTERDAY, "--out", drill.raw)
    assert made.returncode == 0, made.stderr
    drill.plant()
    assert drill.run(BUILD).returncode == 0
    drill.choose()
    drill.runs = [drill.export() for _ in range(3)]
    for run in drill.runs[:2]:
        if run["folder"]:
            drill.ack(run["run"])
    listed = ", ".join(f"'{drill.ids[name]}'" for name in PEOPLE)
    theirs = f"(select person_id from marts.customers where primary_customer_id in ({listed}))"
    drill.people = dict(drill.ask(f"select primary_customer_id, person_id from marts.customers where primary_customer_id in ({listed})"))
    drill.orders = sorted(orders for (orders,) in drill.ask(f"select orders_count from marts.customers where person_id in {theirs}"))
    rows = drill.ask(f"""select address, address_type from intermediate.int_person_addresses where person_id in {theirs}
        union select substr(key, 1), 'phone' from intermediate.int_address_keys where key_type = 'phone' and person_id in {theirs}
        union select source_id, 'id' from intermediate.int_identity_map where person_id in {theirs} and source_id is not null
        union select person_id, 'id' from intermediate.int_identity_map where person_id in {theirs}""")
    drill.identifiers = {text.lower(): kind for text, kind in sorted(rows, key=lambda row: row[1] != "id")}
    drill.identifiers |= {hashlib.sha256(text.encode()).hexdigest(): "hash" for text, kind in drill.identifiers.items() if kind in ("email", "phone")}
    drill.before = drill.found(drill.identifiers)
    customer = {name: drill.ask(f"select email, phone from marts.customers where primary_customer_id = '{customer}'")[0] for name, customer in drill.ids.items()}
    drill.said = [
        drill.erase("--email", customer["by_email"][0].upper(), "--request", "R-mail"), drill.erase("--phone", customer["by_phone"][1], "--request", "R-phone"),
        drill.erase("--phone", customer["wife"][1], "--request", "R-house"), drill.erase("--id", drill.ids["wife"], "--request", "R-wife"),
        drill.erase("--id", f"shop:customer:{drill.ids['deleted']}", "--request", "R-deleted"), drill.erase("--email", customer["returned"][0], "--request", "R-back"),
    ]  # fmt: skip
    gone, back = drill.ids["deleted"], drill.ids["returned"]
    drill.rewrite("shop/customers", f"""select * from raw where customer_id <> '{gone}' union all by name
        select * replace ('NEW1' as customer_id) from raw where customer_id = '{back}' union all by name
        select * replace ('NEW2' as customer_id, 'fresh@example.com' as email, null as phone) from raw where customer_id = '{back}'""")
    drill.second = drill.run(BUILD)
    drill.told = drill.export()
    drill.erase("receipts")
    return drill


def test_it_says_what_was_done_and_names_nobody(drill):
    assert [("erased" in said, "2 people share this address" in said) for said in drill.said] == [
        (True, False), (True, False), (True, True), (True, False), (True, False), (True, False)]  # fmt: skip
    for said in drill.said:
        assert not {word for word in re.split(r"\s+", said.lower())} & drill.identifiers.keys()


def test_before_they_were_everywhere(drill):
    stores = {where.split(":")[0].split("/")[0] for where in drill.before}
    assert {"warehouse", "published", "state", "exports"} <= stores


def test_after_the_next_run_no_cell_holds_them_but_what_destinations_have_yet_to_be_told(drill):
    assert drill.second.returncode == 0, drill.second.stdout[-2000:]
    found = drill.found(drill.identifiers)
    waits = {where for where in found if where.startswith(("state/deliveries/ledger/", "exports/"))}
    assert found.keys() - waits == set()
    assert {where.split("/")[-1].split(".")[0] if "suppress" in where else "removed" if ".removed" in where else where
            for where in waits if where.startswith("exports/")} <= {"suppress", "removed"}  # fmt: skip


def test_each_destination_is_told_by_each_identifier_that_it_holds(drill):
    folder = drill.folder / "exports" / drill.told["run"]
    files = {name: {cell for path in (folder / name).glob("*") if "suppress" in path.name or ".removed" in path.name
                    for row in csv.reader(path.read_text().splitlines()) for cell in row} for name in DELIVERIES}  # fmt: skip
    kinds = {kind: {text for text, its in drill.identifiers.items() if its == kind} for kind in ("email", "phone", "user_id")}
    people = len(PEOPLE)
    assert len(files["mail"] & kinds["email"]) == len(files["push"] & kinds["user_id"]) == people
    assert len(files["sms"] & kinds["phone"]) == people
    digits = {hashlib.sha256(text.removeprefix("+").encode()).hexdigest() for text in kinds["phone"] if text.startswith("+")}
    assert len(files["ads"] & digits) >= people - 1  # the household's phone was the husband's, too
    assert len(files["ads"] & {hashlib.sha256(text.encode()).hexdigest() for text in kinds["email"]}) == people


def test_after_the_acks_nothing_holds_them(drill):
    drill.ack(drill.told["run"])
    drill.export()  # which lets the ledger forget what is settled
    drill.erase("receipts")
    assert drill.found(drill.identifiers) == {}
    receipts = [json.loads(path.read_text()) for path in sorted((drill.folder / "state/erasures/receipts").glob("*.json"))]
    found = {receipt["request"]: receipt["status"] for receipt in receipts if receipt["request"].startswith("R-")}
    assert found.keys() == {"R-mail", "R-phone", "R-house", "R-wife", "R-deleted", "R-back"}
    del found["R-house"]  # nobody's, until the wife was named
    assert set(found.values()) == {"done"}


def test_their_numbers_stay_and_their_ids_cannot_be_guessed(drill):
    erased = drill.ask("select person_id, orders_count, email, primary_customer_id, can_email from marts.customers", drill.published)
    erased = [row for row in erased if row[0] in drill.new_ids()]
    assert sorted(orders for _, orders, *_ in erased) == drill.orders and {row[2:] for row in erased} == {(None, None, False)}
    guesses = {}
    with duckdb.connect() as con:
        for table, column, form in [("shop/customers", "customer_id", "shop:customer:{}"), ("app/users", "user_id", "app:user:{}"),
                                    ("esp/contacts", "contact_id", "esp:contact:{}"), ("shop/orders", "order_id", "shop:guest_order:{}")]:  # fmt: skip
            for (value,) in con.execute(f"select distinct {column} from '{drill.raw}/{table}.parquet'").fetchall():
                guesses[hashlib.md5(form.format(value).encode()).hexdigest()] = value
    guesses |= {hashlib.md5(f"shop:customer:{drill.ids[name]}".encode()).hexdigest(): name for name in PEOPLE}
    people = {person for (person,) in drill.ask("select person_id from marts.customers", drill.published)}
    assert len(erased) == len(PEOPLE) and not {person for person, *_ in erased} & guesses.keys()
    assert len(people & guesses.keys()) > 300, "of all others the ids can be worked out"


def test_who_comes_back_is_blocked_under_the_old_address_and_new_under_a_new_one(drill):
    rows = dict(drill.ask("select primary_customer_id, (email, can_email, stage) from marts.customers where primary_customer_id in ('NEW1', 'NEW2')"))
    assert rows["NEW1"][0] is None and rows["NEW1"][1] is False and rows["NEW2"][0] == "fresh@example.com"
    assert drill.ask("select blocked_rows from marts.source_tables where table_name = 'customers'") != [(0,)]
    husband = drill.ask(f"select phone, can_sms, stage from marts.customers where primary_customer_id = '{drill.ids['husband']}'")[0]
    assert husband[:2] == (None, False) and husband[2] != "erased"
