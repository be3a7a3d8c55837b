"""The state of erasures: whom it knows, how people are found in the last build, and what else holds them.

One Parquet file per request in <state>/erasures, written once. A row is an id or address of one person: its keyed hash, what
stands in its place from now on (`pseudonym`), and the random person_id that the person has; without one, an address is blocked
that nobody has, or several people. Of an address the last row says whether it is erased or lifted.
"""

import os
import re
import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from audience_export import keys
from audience_export.state import State, read_manifest, remove
from common import USAGE, WRONG, Problem, lock, quoted, temporary_folder, written_whole
from keyed_hash import hashed, read_key, use_key
from publish import connect_green

COLUMNS = {
    "request": "varchar", "event": "varchar", "person_id": "varchar", "kind": "varchar", "key_hash": "varchar",
    "pseudonym": "varchar", "old_person_id_hash": "varchar", "received_at": "timestamp", "erased_at": "timestamp",
}  # fmt: skip
TABLES = ("int_identity_map", "int_person_addresses", "int_address_keys", "int_erased_people", "int_suppressions")
NOBODY = "there is nobody with that id in the last build"


class Erasures:
    """The state `erasures`: the table `known`, the view `in_force`, and a warehouse to find people in."""

    def __init__(self, state):
        self.folder, self.con = Path(state) / "erasures", duckdb.connect()
        use_key(self.con, read_key(state))
        self.read()

    def read(self):
        self.con.execute(
            f"create or replace table known ({', '.join(f'{name} {kind}' for name, kind in COLUMNS.items())}, filename varchar)"
        )
        if any(self.folder.glob("*.parquet")):
            self.con.execute(f"insert into known by name from read_parquet({quoted(self.folder / '*.parquet')}, filename = true)")
        # of a block of an address and the erasure of its person, the later one says whose it is
        self.con.execute("""create or replace view in_force as from known where true qualify event = 'erased'
            and row_number() over (partition by kind, key_hash order by erased_at desc, request desc) = 1""")
        self.con.execute(
            "create or replace view gone as select distinct old_person_id_hash, person_id from known where person_id is not null"
        )

    def attach(self, warehouse, schema=None):
        """Find people in this warehouse; the schema of marts where the build must be green."""
        if not warehouse.exists():
            raise Problem(USAGE, f"there is no warehouse {warehouse} (LIFECYCLE_WAREHOUSE); run `dbt build`")
        if schema:
            connect_green(warehouse, schema).close()
        self.con.execute(f"attach {quoted(warehouse)} as warehouse (read_only)")
        there = {
            row[0]
            for row in self.con.execute(
                "select table_name from duckdb_tables() where database_name = 'warehouse' and schema_name = 'intermediate'"
            ).fetchall()
        }
        if missing := [table for table in TABLES if table not in there]:
            raise Problem(WRONG, f"warehouse {warehouse} has no {missing[0]}; run `dbt build`")

    def ask(self, query, values=()):
        return self.con.execute(query, list(values)).fetchall()

    # ---- whom it is about ----

    def by_address(self, kind, text):
        """(people, keys of the address): those that the last build compares by; of an address that it has not, its own."""
        own = {"email": keys.email_key("$1::varchar"), "phone": keys.phone_digits("$1::varchar")}[kind]
        ((key,),) = self.ask(f"select {own}", [text])
        if (
            not key
            or (kind == "email" and not re.fullmatch(r"[^@\s]+@[^@\s]+", key))
            or (kind == "phone" and not re.fullmatch(r"\+?\d{5,15}", key))
        ):
            raise Problem(USAGE, f"--{kind}: this is no {'e-mail address' if kind == 'email' else 'phone number'}")
        # what stands in its place, where it is blocked already
        pseudonyms = [
            name
            for (name,) in self.ask(
                f"select pseudonym from in_force where kind = $2 and key_hash = {hashed('$1::varchar')}", [key, kind]
            )
        ]
        found = self.ask(
            """select distinct person_id, address from warehouse.intermediate.int_person_addresses
            where address_type = $1 and (list_contains($3, address) or address in (
                select address from warehouse.intermediate.int_address_keys where key_type = $1 and key = $2))""",
            [kind, key, pseudonyms],
        )
        return {person for person, _ in found}, {address for _, address in found if address not in pseudonyms} or {key}

    def by_id(self, text):
        """The person with this id: person_id, an id of a source, or that with its system as `shop:customer:17`."""
        found = self.ask(
            """select distinct person_id, regexp_extract(record_key, '^[^:]+:[^:]+:') from warehouse.intermediate.int_identity_map
            where source_id is not null and (record_key = $1 or source_id = $1) or person_id = $1""",
            [text],
        )
        people = {person for person, _ in found}
        if len(people) > 1:
            raise Problem(
                USAGE,
                f"--id: {len(people)} people have that id; say which, as one of "
                + ", ".join(sorted({f"{system}ID" for _, system in found})),
            )
        if people:
            return people.pop()
        erased = self.ask(
            f"select person_id from in_force where person_id is not null and (key_hash = {hashed('$1::varchar')} "
            f"or old_person_id_hash = {hashed('$1::varchar')} or person_id = $1)",
            [text],
        )
        if erased:
            return erased[0][0]
        raise Problem(USAGE, f"--id: {NOBODY}; give it as the source has it, or with its system as shop:customer:ID")

    # ---- rows ----

    def of_person(self, person_id):
        """(person_id from now on, hash of the old one, rows that the state does not have yet) of a person.

        A row: (kind, keyed hash, pseudonym). Ids and addresses that stand in place of erased ones are no new ones.
        """
        ((old,),) = self.ask(f"select {hashed('$1::varchar')}", [person_id])
        before = self.ask(
            "select person_id, old_person_id_hash from known where person_id = $1 or old_person_id_hash = $2 limit 1",
            [person_id, old],
        )
        ((new, old),) = before or [(secrets.token_hex(16), old)]
        phones = self.ask(
            "select address from warehouse.intermediate.int_person_addresses where person_id = $1 and address_type = 'phone'",
            [person_id],
        )
        found = self.ask(
            f"""with theirs as (
                select 'record' as kind, record_key as key, if(role = 'app', 'user:' || source_id, record_key) as token,
                    source_id as value
                from warehouse.intermediate.int_identity_map where person_id = $1 and source_id is not null
                union
                select address_type, address, address_type || ':' || address, address
                from warehouse.intermediate.int_person_addresses where person_id = $1 and address_type in ('email', 'phone')
                union
                select 'phone_form', unnest($3::varchar[]), '', null
                union
                select 'user_id', source_id, 'user:' || source_id, source_id
                from warehouse.intermediate.int_identity_map where person_id = $1 and role = 'app' and source_id is not null),
            hashed as (
                select theirs.kind, token, coalesce(blocked.key_hash, {hashed("key")}) as key_hash, blocked.pseudonym
                from theirs left join in_force as blocked
                    on blocked.kind = theirs.kind and (blocked.pseudonym = value or blocked.key_hash = {hashed("key")}))
            select hashed.kind, token, hashed.key_hash, hashed.pseudonym from hashed
            where key_hash not in (select key_hash from in_force where person_id = $2) order by all""",
            [person_id, new, sorted(self.forms([phone for (phone,) in phones]))],
        )
        names = {}
        return (
            new,
            old,
            [(kind, key_hash, pseudonym or self.pseudonym(kind, token, names)) for kind, token, key_hash, pseudonym in found],
        )

    def forms(self, phones):
        """In which other forms lists may spell these phones: with the country but no plus, and as that country dials them."""
        found = self.ask(
            f"""with coded as (
                select phone, {keys.national_number("phone")} as number from (select unnest($1::varchar[]) as phone)
                where starts_with(phone, '+')),
            forms as (
                select unnest([substr(phone, 2), number, '0' || number]) as form from coded
                union
                select key from warehouse.intermediate.int_address_keys where key_type = 'phone' and list_contains($1, address))
            select form from forms where form != '' and not list_contains($1, form)""",
            [list(phones)],
        )
        return {form for (form,) in found}

    @staticmethod
    def pseudonym(kind, token, names):
        """What stands in place of a value; an app user's id has one, wherever it is."""
        if kind in ("phone", "phone_form"):
            return None
        return names.setdefault(token, secrets.token_hex(16)) + ("@erased.invalid" if kind == "email" else "")

    def of_addresses(self, kind, found):
        """([(kind, keyed hash)] of addresses, and of all forms of phones; rows of those that are not blocked yet)."""
        keys_of = [(kind, key) for key in sorted(found)]
        keys_of += [("phone_form", form) for form in sorted(self.forms(sorted(found)))] if kind == "phone" else []
        hashes = [(name, self.ask(f"select {hashed('$1::varchar')}", [key])[0][0]) for name, key in keys_of]
        blocked = set(self.ask("select kind, key_hash from in_force"))
        return hashes, [(*pair, self.pseudonym(*pair, {})) for pair in hashes if pair not in blocked]

    def asked_for(self):
        """Rows of addresses that raw data erases, of which the state does not know anything."""
        known, rows = set(self.ask("select kind, key_hash from known")), []
        for kind in ("email", "phone"):
            found = self.ask(
                "select distinct address from warehouse.intermediate.int_suppressions "
                "where reason = 'erased' and address_type = $1 and address not like '%@erased.invalid'",
                [kind],
            )
            rows += self.of_addresses(kind, {address for (address,) in found})[1]
        return [row for row in rows if row[:2] not in known]

    def write(self, request, event, rows, person_id, old, received, erased):  # noqa: PLR0917
        """Add one file: complete, durable, and only then visible under its name."""
        target = self.folder / f"{stamp()}-{request}.parquet"
        self.con.execute(f"create or replace temp table news ({', '.join(f'{name} {kind}' for name, kind in COLUMNS.items())})")
        self.con.executemany(
            f"insert into news values ({', '.join('?' * len(COLUMNS))})",
            [[request, event, person_id, kind, key_hash, pseudonym, old, received, erased] for kind, key_hash, pseudonym in rows],
        )
        with written_whole(target) as partial:
            self.con.execute(f"copy news to {quoted(partial)} (format parquet)")
        self.read()

    def since(self, where, values):
        """(request, day, whether it erased somebody) of what the state knows already."""
        return self.ask(
            f"select request, min(erased_at)::date, bool_or(person_id is not null) from in_force where {where} "
            "group by request order by 2, 1 limit 1",
            values,
        )[0]


class Cleaning:
    """Take erased people out of whatever was written of them before. All of it may be repeated."""

    def __init__(self, erasures, state, out):
        self.con, self.state, self.out, self.withdrawn = erasures.con, State(state), Path(out), set()

    def names(self):
        """All that the exporter takes a lock for."""
        return {entry.name for entry in self.state.ledger.entries} | {
            path.stem for path in self.state.folder.glob("locks/*.lock")
        }

    def gone(self, source):
        """Create `gone_here` (old person_id, new): who of a relation's people is erased."""
        self.con.execute(f"""create or replace temp table gone_here as select old.person_id as old, gone.person_id as new
            from (select distinct person_id from {source} where person_id is not null) as old
            join gone on gone.old_person_id_hash = {hashed("old.person_id")}""")
        return self.con.execute("select 1 from gone_here limit 1").fetchone()

    def rewrite(self, path, source, form):
        """Write a file again without its rows of erased people."""
        if self.gone(source):
            with written_whole(path) as partial:
                self.con.execute(
                    f"copy (select * from {source} where coalesce(person_id not in (select old from gone_here), true)) "
                    f"to {quoted(partial)} ({form})"
                )

    def clean(self, *, everything):
        """everything: withdraw all runs, not only those that the ledger knows to hold an erased person."""
        for path in sorted((self.state.root / "audience_events").glob("*.parquet")):
            self.rewrite(path, f"read_parquet({quoted(path)})", "format parquet, compression zstd")
        for left in self.state.folder.glob("logs/.*-quarantine.csv.*.partial"):
            left.unlink()
        for path in sorted(self.state.folder.glob("logs/*-quarantine.csv")):
            self.rewrite(path, f"read_csv({quoted(path)}, header = true, all_varchar = true)", "format csv, header true")
        if everything:  # what a delivery's command says may be personal, and is in no form
            for path in self.state.folder.glob("logs/*.log"):
                path.unlink()
            self.state.adopt(self.out, [])
        held = self.clean_ledger()
        folders = (
            {path.parent.name for path in self.out.glob("*/manifest.json") if read_manifest(path.parent)} if everything else set()
        )
        live = dict.fromkeys(
            entry.run for entry in self.state.ledger.entries if entry.died is None and (everything or entry.run in held)
        )
        for run in [*live, *sorted(folders - live.keys())]:  # the files first: what is withdrawn must not be there
            remove(self.out / run)
            if run in live:
                self.state.ledger.append({"event": "withdrawn", "run": run, "why": "erased"})
            self.withdrawn.add(run)
        for left in [*self.out.glob(".staging-*"), *self.out.glob(".gone-*")]:  # of killed runs
            if (handle := lock(left)) is not None:
                shutil.rmtree(left, ignore_errors=True)
                os.close(handle)

    def clean_ledger(self):
        """Let operations be for the person_id that the person has now. Returns the runs that they are of."""
        ledger, runs = self.state.ledger, set()
        with temporary_folder("lifecycle_erase_") as scratch:
            for part in [part for part in ledger.parts if part["sign"] == "plus"]:
                path = ledger.folder / part["file"]
                if "person_id" in {row[0] for row in self.con.execute(f"describe from {quoted(path)}").fetchall()} and self.gone(
                    quoted(path)
                ):
                    runs |= {
                        row[0]
                        for row in self.con.execute(
                            f"select distinct run from {quoted(path)} where person_id in (select old from gone_here)"
                        ).fetchall()
                    }
                    made, count = ledger.prepare(
                        self.con,
                        f"""select * exclude (old, new) replace (coalesce(new, person_id) as person_id)
                        from {quoted(path)} left join gone_here on person_id = old""",
                        scratch,
                    )
                    ledger.replace(scratch, [{**part, "file": made.name, "rows": count}], [(path, part)])
        named = {part["file"] for part in ledger.parts}
        for path in [path for path in ledger.folder.glob("*.parquet") if path.name not in named]:  # what a killed run replaced
            columns = {row[0] for row in self.con.execute(f"describe from {quoted(path)}").fetchall()}
            if "person_id" in columns and self.gone(quoted(path)):
                path.unlink()
        return runs


def moment():
    return datetime.now(UTC).replace(tzinfo=None)


def stamp():
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
