"""Receipts of erasures: what was held before and is held after, store by store; which destinations were told; what stays.

One JSON document and one page per request in <state>/erasures/receipts. They name nobody: a receipt is found by its request
id, and the reference is a part of a keyed hash. Cells are found by keyed hash alone: every text of a store is taken apart into
what may be an id or an address, and its hash is looked for in the state. So they can be counted at any time, also when nobody
knows the values any more, and a receipt says when they were. Names and birth dates cannot be counted so: they go with the rows.
"""

import os
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from html import escape
from itertools import chain
from pathlib import Path

import duckdb

from audience_export import files, keys
from audience_export.rows import literal
from common import USAGE, Problem, quoted, read_json, written_whole
from keyed_hash import hmac_sql

PROJECT = Path(__file__).resolve().parents[1]
DUE_DAYS = 30
STORES = ("warehouse", "published", "state", "exports", "report and logs")
KINDS = ("customer", "user", "contact")  # what <kind>_id of a table of a source is an id of
TOKEN = r"[^\s\"'',;<>{}()\[\]=|\\]+"
STAYS = {
    "keyed hashes of ids and addresses": "they keep the person blocked, and tell nothing without the key",
    "orders, refunds and activity": "of a random person_id that nothing outside the state connects with anybody",
    "rows of the raw data": "the operator's to clear; until then every build puts pseudonyms in the place of ids and addresses",
}


class Receipts:
    """The receipts of all requests: `begin` before anything is cleaned, `bring_up_to_date` after."""

    def __init__(self, erasures, cleaning, options):
        self.con, self.folder, self.options = erasures.con, erasures.folder / "receipts", options
        self.ledger, self.state, self.out = cleaning.state.ledger, cleaning.state.root, cleaning.out
        self.published = Path(options.published)
        attached = {row[0] for row in self.con.execute("select database_name from duckdb_databases()").fetchall()}
        if "warehouse" not in attached and options.warehouse.exists():
            self.con.execute(f"attach {quoted(options.warehouse)} as warehouse (read_only)")
        self.has_warehouse = "warehouse" in attached or options.warehouse.exists()
        self.folder.mkdir(exist_ok=True)
        for left in self.folder.glob(".*.partial"):
            left.unlink()
        # of an address that was blocked first and erased with a person later, both requests are told
        self.con.execute(
            "create or replace view asked as from known semi join in_force using (kind, key_hash) where event = 'erased'"
        )
        self.requests = {request: facts for request, *facts in self.con.execute("""
            select request, min(received_at), min(erased_at), max(old_person_id_hash), max(person_id),
                count(*) filter (where kind = 'record'), count(*) filter (where kind = 'email'),
                count(*) filter (where kind = 'phone')
            from known where event = 'erased' group by request order by min(filename)""").fetchall()}  # fmt: skip
        self.receipts = {request: read_json(path) for request in self.requests if (path := self.path(request)).exists()}
        self.backup_days = os.environ.get("LIFECYCLE_BACKUP_DAYS", "90")
        if not self.backup_days.isdigit():
            raise Problem(USAGE, f"LIFECYCLE_BACKUP_DAYS={self.backup_days}: give a number of days")

    def path(self, request, ending="json"):
        return self.folder / f"{request}.{ending}"

    def blocked(self, request):
        return dict(zip(("records", "e-mail addresses", "phone numbers"), self.requests[request][4:], strict=True))

    def unfinished(self):
        """Whether a request was not yet seen to as a whole."""
        return any("status" not in receipt for receipt in self.receipts.values())

    def begin(self):
        """Count what is held of new requests, or of what is new in one, before it goes."""

        def is_new(request):
            receipt = self.receipts.get(request)
            return receipt is None or ("status" in receipt and receipt["blocked"] != self.blocked(request))

        new = [request for request in self.requests if is_new(request)]
        for request, counts in self.count(new).items():
            before = self.receipts.get(request, {}).get("before", counts)
            known = {store: max(filter(None, (counts[store], before[store])), default=counts[store]) for store in STORES}
            self.receipts[request] = {"request": request, "before": known, "not_erased": self.sharing(request)}
            files.write_json(self.path(request), self.receipts[request])

    def bring_up_to_date(self):
        """Write what is open again. Returns a line for each that still is."""
        lines, now = [], datetime.now(UTC).replace(tzinfo=None, microsecond=0)
        todo = [request for request in self.requests if self.receipts[request].get("status") != "done"]
        found, raw = self.count(todo), self.raw(todo)
        counted = self.raw_of_build()
        for request, counts in found.items():
            was, (received, erased, old, person, *_) = self.receipts[request], self.requests[request]
            destinations = self.destinations(request, person, {line["delivery"]: line for line in was.get("destinations", [])})
            if counts["warehouse"] == 0 and person and counted is not None:  # built since then, which says it better
                raw[request] = counted.get(person, {})
            left = [f"{count} cells of {store}" for store, count in counts.items() if count]
            left += [f"{line['delivery']} has not confirmed it" for line in destinations if line["status"] == "open"]
            due = received + timedelta(days=DUE_DAYS)
            receipt = {
                "request": request, "status": "open" if left else "done", "reference": old and old[:16], "received_at": received,
                "erased_at": erased, "due": due.date(), "blocked": self.blocked(request), "not_erased": was["not_erased"],
                "before": was["before"], "after": counts, "counted_at": now, "destinations": destinations,
                "raw_tables": raw[request],
                "backups_gone_by": (max(erased, received) + timedelta(days=int(self.backup_days))).date(), "stays": STAYS,
            }  # fmt: skip
            files.write_json(self.path(request), receipt)
            with written_whole(self.path(request, "html")) as partial:
                partial.write_text(page(receipt), encoding="utf-8")
            if left:
                lines.append(f"{request}: open, {'due' if due > now else 'OVERDUE since'} {due.date()}: {', '.join(left)}")
        return lines

    # ---- cells ----

    def count(self, requests):
        """{request: {store: cells that hold one of its ids or addresses; None of a warehouse that is not there}}."""
        self.con.execute(
            "create or replace temp table marks as "
            "select distinct request, unnest([key_hash, old_person_id_hash]) as mark from asked "
            "where list_contains(?, request)",
            [requests],
        )
        found = {request: dict.fromkeys(STORES, 0) for request in requests}
        if not found:
            return found
        for store, relations in self.places().items():
            if store == "warehouse" and not self.has_warehouse:
                for counts in found.values():
                    counts[store] = None
            self.con.execute("create or replace temp table texts (value varchar, cells bigint)")
            for relation, texts in chain(relations, [(None, ())]):
                for text in texts:
                    self.con.execute(
                        f"insert into texts select {text}, count(*) from {relation} where {text} is not null group by all"
                    )
                if relation is None or self.con.execute("select count(*) > 1000000 from texts").fetchone()[0]:
                    self.match()
                    for request, count in self.con.execute(
                        "select request, sum(cells)::bigint from texts join hits using (value) group by all"
                    ).fetchall():
                        found[request][store] += count
                    self.con.execute("truncate texts")
        return found

    def match(self):
        """Create `hits` (value, request): which of `texts` hold an id or address that is one of `marks`."""
        email, phone = keys.email_key("token"), keys.phone_digits("token")
        self.con.execute(f"""create or replace temp table hits as
            with tokens as (
                select distinct value,
                    unnest(list_append(if(length(value) > 8, regexp_extract_all(value, '{TOKEN}'), []), value)) as token
                from texts),
            written as (select distinct token from tokens),
            hashes as (
                select token, {hmac_sql("sha256(token)")} as hash from written
                union all
                select token, {hmac_sql("sha256(key)")} from (
                    select token, {email} as key from written where contains(token, '@')) where key is not null
                union all
                select token, {hmac_sql("sha256('+' || ltrim(key, '+'))")} from (
                    select token, {phone} as key from written where regexp_full_match(token, '[0-9 ().+/-]{{7,30}}'))
                where key is not null
                union all
                select token, {hmac_sql("lower(token)")} from written where regexp_full_match(token, '[0-9A-Fa-f]{{64}}')
                union all
                select token, unhex(substr(token, 6)) from written where regexp_full_match(token, 'mark:[0-9a-f]{{64}}'))
            select distinct value, request from tokens join hashes using (token) join marks on unhex(mark) = hash""")

    def places(self):
        """{store: [(relation, SQL of its texts)]}, of generators."""
        return {
            "warehouse": self.of_warehouse(),
            "published": self.of_published(),
            "state": self.of_state(),
            "exports": self.of_files([self.out]),
            "report and logs": self.of_files([self.published.with_name("report.html"), *LOGS]),
        }

    def tables(self, database, where="true"):
        """The relations of a database with their texts; of an id of a source, also with its system, as the state has it."""
        columns = defaultdict(list)
        for schema, table, column in self.con.execute(
            f"select schema_name, table_name, column_name from duckdb_columns() "
            f"where database_name = '{database}' and not internal "
            f"and data_type in ('VARCHAR', 'UUID', 'JSON', 'VARCHAR[]') and {where} order by all"
        ).fetchall():
            columns[schema, table].append(column)
        for (schema, table), names in columns.items():
            texts = [f'"{name}"::varchar' for name in names]
            if "source_system" in names:
                texts += [f"source_system || ':{kind}:' || {kind}_id" for kind in KINDS if f"{kind}_id" in names]
            yield f'{database}."{schema}"."{table}"', texts

    def of_warehouse(self):
        if self.has_warehouse:
            yield from self.tables(
                "warehouse", "(schema_name, table_name) in (select (schema_name, table_name) from duckdb_tables())"
            )

    def of_published(self):
        if self.published.exists():
            self.con.execute(f"attach {quoted(self.published)} as published_marts (read_only)")
            yield from self.tables("published_marts")
            self.con.execute("detach published_marts")
        yield from self.of_files(
            [folder for folder in self.published.parent.glob("*") if folder.is_dir() and any(folder.glob("*.parquet"))]
        )

    def of_state(self):
        """All but the erasures: these have pseudonyms and hashes only."""
        for path in sorted(self.ledger.folder.glob("*.parquet")):
            columns = self.columns(path)
            ids = [name for name in columns if name == "value" or (name[0] == "i" and name[1:].isdigit())]
            texts = [f"coalesce(try(decode({name})), lower(hex({name})))" for name in ids] + [
                name for name in ("person_id", "beside") if name in columns
            ]
            # of a value that does not tell its address, the ledger has the keyed hash
            yield (
                quoted(path),
                texts
                + [
                    f"if({name} is not null, 'mark:' || lower(hex(k{name[1:]})), null)"
                    for name in ids
                    if f"k{name[1:]}" in columns
                ],
            )
        others = [path for path in self.state.iterdir() if path.is_dir() and path.name not in ("erasures", "deliveries")]
        yield from self.of_files([*others, *(path for path in self.state.glob("deliveries/*") if path.name != "ledger")])

    def columns(self, path):
        return {row[0]: row[1] for row in self.con.execute(f"describe from {quoted(path)}").fetchall()}

    def of_files(self, places):
        """Parquet files by their texts, all others word by word."""
        for path in sorted(
            {path for place in places for path in ([place] if place.is_file() else place.rglob("*")) if path.is_file()}
        ):
            if path.suffix == ".parquet":
                columns = self.columns(path)
                yield (
                    quoted(path),
                    [
                        f'"{name}"' if kind == "VARCHAR" else f'lower(hex("{name}"))'
                        for name, kind in columns.items()
                        if kind in ("VARCHAR", "BLOB")
                    ],
                )
            elif path.suffix not in (".msgpack", ".lock", ".duckdb"):
                yield (
                    f"(select unnest(regexp_extract_all(try(decode(content)), '{TOKEN}')) as word "
                    f"from read_blob({quoted(path)}))",
                    ["word"],
                )

    def raw(self, requests):
        """{request: {raw table: rows in which its ids or addresses, or what stands in their place, still are}}; wants `marks`.

        None of a table that cannot be read any more.
        """
        found = {request: {} for request in requests}
        self.con.execute(
            "create or replace temp table names as select distinct request, pseudonym from asked "
            "where pseudonym is not null and list_contains(?, request)",
            [requests],
        )
        schema = (
            "schema_name = 'raw_import' and table_name not in ('files', 'unreadable_lines', 'erased_rows') "
            "and table_name not like 'state_%'"
        )
        for relation, texts in self.tables("warehouse", schema) if self.has_warehouse and requests else ():
            table = relation.rsplit('"', 2)[1]
            cells = " union all ".join(f"select n, {text} as value from numbered" for text in texts)
            try:
                self.con.execute(
                    "create or replace temp table here as "
                    f"with numbered as (select row_number() over () as n, * from {relation}) "
                    f"from ({cells}) where value is not null"
                )
            except duckdb.Error:  # a view on files that are gone
                for tables in found.values():
                    tables[table] = None
                continue
            self.con.execute("create or replace temp table texts as select value, count(*) as cells from here group by all")
            self.match()
            for request, count in self.con.execute("""select request, count(distinct n) from here join (
                    from hits union select pseudonym, request from names) found using (value) group by all""").fetchall():
                found[request][table] = count
        return found

    def raw_of_build(self):
        """{person_id: {raw table: rows}} as the last build found them while it read raw data; None of a build that did not."""
        if (
            not self.has_warehouse
            or not self.con.execute(
                "select 1 from duckdb_tables() "
                "where database_name = 'warehouse' and schema_name = 'raw_import' and table_name = 'erased_rows'"
            ).fetchone()
        ):
            return None
        found = defaultdict(dict)
        for person, table, rows in self.con.execute("""select person_id, source || '_' || table_name, sum(row_count)::bigint
                from warehouse.raw_import.erased_rows where person_id is not null group by all""").fetchall():
            found[person][table] = rows
        return found

    def sharing(self, request):
        """How many others have an address of the person, or its mailbox; they are not erased. None where it cannot be known."""
        if not self.has_warehouse:
            return None
        own = hmac_sql("sha256(%s)")
        return self.con.execute(
            f"""
            with marks as (select distinct unnest([key_hash, old_person_id_hash]) as mark from known where request = $1),
            people as (select distinct person_id from warehouse.intermediate.int_person_addresses),
            erased as (select person_id from people where lower(hex({own % "person_id"})) in (select mark from marks)),
            theirs as (
                select address_type, address from warehouse.intermediate.int_person_addresses
                where address_type != 'user_id'
                    and (person_id in (from erased) or lower(hex({own % "address"})) in (from marks))),
            shared as (
                select key_type, key from warehouse.intermediate.int_address_keys semi join theirs using (address_type, address)),
            met as (
                select address_type, address from warehouse.intermediate.int_address_keys semi join shared using (key_type, key))
            select count(distinct person_id)
            from warehouse.intermediate.int_person_addresses semi join met using (address_type, address)
            where person_id not in (from erased) and person_id not in (select person_id from gone)""",
            [request],
        ).fetchone()[0]

    # ---- destinations ----

    def destinations(self, request, person, before):
        """A line per delivery that was ever given an address of theirs: kinds, the run in which it was told, whether it knows.

        before: {delivery: the line of the receipt until now}: once the ledger has forgotten an address, that says the run.
        """
        con, ledger, lines = self.con, self.ledger, []
        con.execute("create or replace temp table own as select unhex(key_hash) as k from asked where request = ?", [request])
        con.execute("create or replace temp table no_keys (k blob, rank utinyint)")  # for Ledger.held
        con.execute("create or replace temp table no_people (person_id varchar, rank utinyint)")
        for name in sorted({entry.name for entry in ledger.entries}):
            kinds, node = self.given(name, person), ledger.of(name)[-1].node
            if not kinds:
                continue
            waits, runs = self.waits(name)
            line = {"delivery": name, **{key: node[key] for key in ("destination", "account", "channel")}, "identifiers": kinds,
                    "run": None, "published_at": None, "acknowledged_at": None} | before.get(name, {})  # fmt: skip
            line["status"] = "open" if waits else "done"
            if runs:
                last = runs[-1]
                acked = self.happened(last.acked) if last.acked else None
                line |= {"run": last.run, "published_at": last.node["at"], "acknowledged_at": acked}
            lines.append(line)
        return lines

    def given(self, name, person):
        """Create `theirs`, the keys of theirs that the ledger has in clear; the kinds of all that a delivery was ever given."""
        con, ledger, kinds = self.con, self.ledger, set()
        con.execute("create or replace temp table theirs (header varchar, value blob, is_told boolean)")
        told = ", ".join(map(literal, sorted(ledger.told))) or "'-'"
        for audience in ledger.audiences(name):
            ledger.table(con, name, audience, "plus", view="all_rows")
            con.execute(
                f"insert into theirs select header, value, bool_or(left(lower(hex(k)), 16) in ({told})) from "
                f"({ledger.keys(name, 'all_rows', 'person_id')}) where k in (from own) or person_id = ? group by all",
                [person],
            )
            for n in range(ledger.width(name)):
                forgotten = f"from all_rows where i{n} is null and k{n} in (from own)"
                kinds |= {row[0] for row in con.execute(f"select distinct {ledger.header(name, n)} {forgotten}").fetchall()}
        kinds |= {row[0] for row in con.execute("select distinct header from theirs").fetchall()}
        return sorted(filter(None, kinds))

    def waits(self, name):
        """(how many of `theirs` wait for an acknowledgement, by R5 and R6; the entries of runs that told of them)."""
        con, ledger = self.con, self.ledger
        con.execute("create or replace temp table at_audiences (header varchar, value blob, may_be boolean)")
        con.execute("create or replace temp table told_keys (header varchar, value blob)")
        con.execute("create or replace temp table tellings (run varchar, header varchar, value blob)")
        for audience in ledger.audiences(name):
            self.hold(name, audience)
            con.execute("insert into at_audiences select header, value, may_be from held")
            con.execute("insert into tellings select run, header, value from minus_ops")

        def account(entry):  # a vendor suppresses per account
            return entry.node["account"], entry.node["channel"]

        own = account(ledger.of(name)[-1])
        # the shape of suppressions, of whoever sends
        is_sender = any(shape["id"].startswith("s") for entry in ledger.of(name) for shape in entry.node["shapes"])
        for other in sorted({entry.name for entry in ledger.entries if account(entry) == own} if is_sender else ()):
            self.hold(other, "")
            con.execute("insert into told_keys select header, value from held where surely")
            con.execute(f"insert into tellings select run, header, value from ({ledger.keys(other, 'plus_ops', 'run')})")
        is_settled = "bool_or(value in (select value from told_keys))" if is_sender else "true"
        waiting = con.execute(f"""select count(*) from (
            select value from theirs left join at_audiences using (header, value)
            group by value having not bool_or(is_told) and (bool_or(may_be) or not {is_settled}))""").fetchone()[0]
        told = con.execute("select distinct run from tellings semi join theirs using (header, value)").fetchall()
        return waiting, [entry for entry in ledger.entries if (entry.run,) in told and account(entry) == own]

    def happened(self, number):
        """When an event was written."""
        seconds = (self.ledger.folder / f"{number:08}.json").stat().st_mtime
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=0).isoformat()

    def hold(self, name, audience):
        """Create `held` of an audience, '' of suppressions."""
        for sign in ("plus", "minus", "refused"):
            self.ledger.table(self.con, name, audience, sign, view=f"{sign}_ops")
        self.ledger.held(self.con, name, audience, "plus_ops")


LOGS = [Path(os.environ.get("DBT_LOG_PATH", PROJECT / "logs")), Path(os.environ.get("DBT_TARGET_PATH", PROJECT / "target"))]


# ---- the page ----

STYLE = """body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #17212b; background: #fff;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; font-variant-numeric: tabular-nums; }
h1 { font-size: 1.7rem; letter-spacing: -.02em; } h2 { font-size: 1.1rem; margin: 1.6rem 0 .3rem; }
table { width: 100%; border-collapse: collapse; } caption { text-align: left; color: #52606d; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid #dfe4ea; }
.n { text-align: right; }
.open { color: #8f3b00; } .done { color: #00573f; } @page { margin: 2cm; }"""


def page(receipt):
    """One page to print: no scripts, no names."""
    facts = {
        "Status": receipt["status"],
        "Reference": receipt["reference"] or "none: an address was blocked, nobody erased",
        "Received": day(receipt["received_at"]),
        "Erased": day(receipt["erased_at"]),
        "Due": receipt["due"],
        **{f"Blocked {name}": str(count) for name, count in receipt["blocked"].items()},
        "Others with the same address or mailbox, not erased": str(shown(receipt["not_erased"])),
        "Backups hold nothing any more after": receipt["backups_gone_by"],
    }
    stores = [(store, shown(receipt["before"][store]), shown(receipt["after"][store])) for store in STORES]
    raw = [(name, shown(rows)) for name, rows in sorted(receipt["raw_tables"].items())]
    told = [
        (
            line["delivery"],
            f"{line['destination']}, {line['channel']}",
            ", ".join(line["identifiers"]),
            line["run"] or "not yet",
            (line["acknowledged_at"] or "not yet")[:10],
            line["status"],
        )
        for line in receipt["destinations"]
    ]
    parts = [
        table("", [], facts.items()),
        table(
            "Cells that hold an id or address of theirs, as of " + f"{receipt['counted_at']:%Y-%m-%d %H:%M} UTC",
            ["store", "before", "after"],
            stores,
        ),
        table("Destinations that were given one", ["delivery", "where", "kinds", "told in run", "acknowledged", "status"], told),
        table(
            "Raw tables that still have rows of theirs: the operator's to clear",
            ["table", "rows"],
            raw,
        ),
        table("What stays, and why", [], receipt["stays"].items()),
    ]
    title = f"Receipt of erasure {escape(receipt['request'])}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{STYLE}\n</style>\n</head>\n"
        f"<body>\n<h1>{title}</h1>\n{''.join(parts)}</body>\n</html>\n"
    )


def table(title, head, rows):
    rows = list(rows)

    def cell(value):
        kind = ' class="n"' if isinstance(value, int) else f' class="{value}"' if value in ("open", "done") else ""
        return f"<td{kind}>{escape(str(value))}</td>"

    lines = [f'<tr><th scope="row">{escape(str(first))}</th>{"".join(map(cell, rest))}</tr>\n' for first, *rest in rows]
    numbers = [all(isinstance(value, int) for value in column) for column in zip(*rows, strict=True)]
    heads = "".join(f'<th scope="col"{" class=n" * is_number}>{escape(name)}</th>' for name, is_number in zip(head, numbers, strict=False))
    heads = f"<tr>{heads}</tr>\n" if head else ""
    heading = f"<h2>{escape(title)}</h2>\n" if title else ""
    return f"{heading}<table>\n{heads}{''.join(lines)}</table>\n" if lines else f"{heading}<p>None.</p>\n"


def shown(count):
    return "not known" if count is None else count


def day(value):
    return f"{value:%Y-%m-%d}"
