"""The ledger: what every destination may hold, and what it surely holds.

Append-only, private, in <state>/deliveries/ledger: events NNNNNNNN.json in the order in which they happened, and the
operations that they name as Parquet files. An operation adds or removes one key: (delivery, audience, header, value as
written) (R1); suppressions are operations with the audience '', compared over all deliveries of one account and channel.
Keys carry the keyed hash of their address and mailbox and the people they were written for (R2).

An operation is *live* until its run is acknowledged, expired or withdrawn: until then somebody may still import it.
Time is the number of the event. Of one key, with `died` of a live run after everything:

    may be there (R5)    newest death of a plus       >  newest acknowledged minus
    surely there (R6)    newest acknowledged plus     >  newest death of a minus

A row whose last operation is a plus is written again by every full run, and by a delta for as long as it is not surely
there; such repetitions are not stored but follow from the runs (`_lives`), so that a run costs what changed. (A newer
run of a delivery never dies before an older one.)
"""

import json
import os
import secrets
import shutil
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from common import read_json, sync
from keyed_hash import hmac_sql

from . import files
from .rows import literal

LIVE = 1 << 62
MERGE = 24  # operation files of one audience, from which on they are merged
LASTING = ("erased", "complaint", "hard_bounce")  # no yes lifts these


@dataclass
class Entry:
    """One delivery of one published run."""

    seq: int
    run: str
    name: str
    node: dict
    acked: int | None = None
    died: int | None = None

    @property
    def is_whole(self):
        """Whether the run says all of its audiences; a blocked one says only who said no."""
        return self.node["mode"] in ("full", "delta")


class Ledger:
    """All that was published and became of it."""

    def __init__(self, state):
        self.folder = Path(state) / "deliveries" / "ledger"
        self.newest, self.entries, self.parts, self.names, self.told = "", [], [], {}, set()
        self.read()

    # ---- events ----

    def read(self):
        """Read the events that are new."""
        for path in sorted(path for path in self.folder.glob("[0-9]*.json") if path.stem > self.newest):
            event = read_json(path)
            getattr(self, f"_{event['event']}")(int(path.stem), event)
            self.newest = path.stem

    def _published(self, seq, event):
        for name, node in event["deliveries"].items():
            self.entries.append(Entry(seq, event["run"], self.names.get(name, name), node))
            self.parts += [{**part, "delivery": self.names.get(name, name), "run": event["run"]} for part in node["parts"]]

    def _acknowledged(self, seq, event):
        """R4: an ack withdraws the run and every older live one of the delivery."""
        name = self.names.get(event["delivery"], event["delivery"])
        found = self.entry(event["run"], name)
        found.acked = found.acked or seq
        for entry in self.entries:
            if entry.name == name and entry.seq <= found.seq:
                entry.died = entry.died or seq
        if event.get("refused"):
            self.parts.append({"delivery": name, "run": event["run"], "audience": None, "sign": "refused",
                               "file": event["refused"], "rows": 0})

    def _withdrawn(self, seq, event):
        for entry in self.entries:
            if entry.run == event["run"]:
                entry.died = entry.died or seq

    def _renamed(self, _, event):
        old, new = event["old"], event["new"]
        self.names = {**{name: new if now == old else now for name, now in self.names.items()}, old: new}
        for entry in self.entries:
            entry.name = new if entry.name == old else entry.name
        for part in self.parts:
            part["delivery"] = new if part["delivery"] == old else part["delivery"]

    def _merged(self, _, event):
        self.parts = [part for part in self.parts if part["file"] not in event["replaced"]]
        self.parts += [{**part, "delivery": self.names.get(part["delivery"], part["delivery"])} for part in event["parts"]]

    def _told(self, _, event):
        self.told |= set(event["keys"])

    def append(self, event):
        """Write an event: it is there whole, durable and with the next number, or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f".{secrets.token_hex(8)}.part"
        try:
            part.write_text(json.dumps(event, indent=1, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
            files.seal(part)
        except OSError:  # nothing half-written stays on a full disk
            part.unlink(missing_ok=True)
            raise
        last = int(self.newest or 0)
        while True:
            try:
                os.link(part, self.folder / f"{last + 1:08}.json")
                break
            except FileExistsError:  # another delivery's run was quicker
                last += 1
        part.unlink()
        sync(self.folder)
        self.read()

    def prepare(self, con, query, folder):
        """Write the rows of a query as a Parquet file into a folder. Returns (its path, how many rows)."""
        path = Path(folder) / f"{secrets.token_hex(8)}.parquet"
        count = con.execute(f"copy ({query}) to {literal(path)} (format parquet)").fetchone()[0]
        return path, count

    def take(self, folder, parts):
        """Make the files of operations a part of the ledger; an event has yet to name them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            for part in parts:
                shutil.copyfile(Path(folder) / part["file"], self.folder / part["file"])
                files.seal(self.folder / part["file"])
        except OSError:
            for part in parts:
                (self.folder / part["file"]).unlink(missing_ok=True)
            raise
        sync(self.folder)

    def sweep(self):
        """Delete files that no event names and nobody is writing: killed runs and merging left them."""
        named = {part["file"] for part in self.parts}
        for path in [*self.folder.glob("*.parquet"), *self.folder.glob(".*.part")]:
            if path.name not in named and time.time() - path.stat().st_mtime > 86400:
                path.unlink(missing_ok=True)

    # ---- runs ----

    def of(self, name):
        return [entry for entry in self.entries if entry.name == name]

    def entry(self, run, name):
        return next((entry for entry in self.entries if (entry.run, entry.name) == (run, name)), None)

    def last(self, name):
        """What the newest whole run of a delivery recorded, {} before the first."""
        return next((entry.node for entry in reversed(self.of(name)) if entry.is_whole), {})

    def unacknowledged(self):
        """{run: its deliveries} that may still be imported and were never acknowledged."""
        runs = defaultdict(list)
        for entry in self.entries:
            if entry.died is None and entry.acked is None:
                runs[entry.run].append(entry.name)
        return dict(runs)

    def audiences(self, name):
        """The audiences of which anything was ever written, and is not forgotten."""
        return sorted({part["audience"] for part in self.parts if part["delivery"] == name and part["audience"]})

    def shape(self, name, key):
        """A shape by its id: {"id", "headers", "hex"}; every run of the delivery records its own."""
        return next((shape for entry in reversed(self.of(name)) for shape in entry.node["shapes"] if shape["id"] == key), None)

    def _lives(self, con, name, audience):
        """Create `runs` of a delivery, and `fulls`: what is true of a repetition by every full run up to one.

        `only_` is of keys that had a single operation: a delta repeats those for as long as they are not surely there.
        """
        entries = [entry for entry in self.of(name) if entry.is_whole and audience in entry.node["audiences"]]
        runs, fulls, died, acked = [], [], 0, 0
        for entry in entries:
            if entry.node["mode"] == "full":
                died, acked = max(died, entry.died or LIVE), entry.seq if entry.acked else acked
                fulls.append((entry.seq, died, acked))
        for entry in self.of(name):
            times, only_died, only_acked = [entry.acked or LIVE], 0, 0
            for later in entries if entry in entries else ():
                if later.seq > entry.seq:
                    if min(times) < later.seq:
                        break
                    times.append(later.acked or LIVE)
                    only_died, only_acked = max(only_died, later.died or LIVE), later.seq if later.acked else only_acked
            runs.append((entry.run, entry.node["at"][:19], entry.seq, entry.seq if entry.acked else 0, entry.died or LIVE, only_died, only_acked))
        con.execute("create or replace temp table runs (run varchar, published_at timestamp, seq bigint, acked bigint, died bigint, only_died bigint, only_acked bigint)")
        con.execute("create or replace temp table fulls (seq bigint, died bigint, acked bigint)")
        for table, rows in (("runs", runs), ("fulls", fulls)):
            if rows:
                kinds = ["bigint"] * 3 if table == "fulls" else ["varchar", "timestamp", *["bigint"] * 5]
                marks = ", ".join(f"unnest(?::{kind}[])" for kind in kinds)
                con.execute(f"insert into {table} select {marks}", [list(column) for column in zip(*rows, strict=True)])

    # ---- operations as tables ----

    def source(self, name, audience, sign):
        """[Parquet paths] of the operations of a delivery and audience ('' of its suppressions)."""
        return [(self.folder / part["file"], part) for part in self.parts if part["delivery"] == name and part["sign"] == sign
                and (sign == "refused" or part["audience"] == audience)]

    def width(self, name):
        """The most identifiers that a row of the delivery ever had."""
        return max((len(shape["headers"]) for entry in self.of(name) for shape in entry.node["shapes"]), default=1)

    def header(self, name, n):
        """SQL: the header of the n-th identifier of an operation's shape."""
        shapes = {shape["id"]: shape["headers"] for entry in self.of(name) for shape in entry.node["shapes"]}
        cases = " ".join(f"when {literal(key)} then {literal(headers[n])}" for key, headers in shapes.items() if n < len(headers))
        return f"case shape {cases} end" if cases else "null::varchar"

    def own(self, name):
        """SQL: is it an id of one's own, by shape and header? It says no or is erased with its owner, and with the address that it was last written with."""
        own = {f"({literal(shape['id'])}, {literal(header)})" for entry in self.of(name) for shape in entry.node["shapes"]
               for header, is_own in zip(shape["headers"], shape.get("own", ()), strict=False) if is_own}
        return f"coalesce((shape, header) in ({', '.join(sorted(own))}), false)" if own else "false"

    def table(self, con, name, audience, sign, paths=None, *, view):
        """Create a view with all columns of plus, minus or refused operations."""
        paths = [path for path, _ in self.source(name, audience, sign)] if paths is None else paths
        count = self.width(name)
        columns = {
            "plus": {"run": "varchar", "shape": "varchar", "digest": "uuid", "person_id": "varchar", "beside": "varchar",
                     "reason": "varchar",
                     **{f"{kind}{n}": "blob" for n in range(count) for kind in "ikm"}},
            "minus": {"run": "varchar", "shape": "varchar", "header": "varchar", "value": "blob"},
            "refused": {"run": "varchar", "audience": "varchar", "sign": "varchar", "header": "varchar", "value": "blob"},
        }[sign]
        source, present = "", set()
        if paths:
            source = f"read_parquet([{', '.join(map(literal, paths))}], union_by_name = true)"
            present = {row[0] for row in con.execute(f"describe from {source}").fetchall()}
        shown = ", ".join(f"{column if column in present else 'null'}::{kind} as {column}" for column, kind in columns.items())
        where = f"where audience = {literal(audience)}" if sign == "refused" and paths else ""
        con.execute(f"create or replace temp view {view} as select {shown} {f'from {source} {where}' if paths else 'where false'}")

    def address_hash(self, name, n):
        """SQL: the keyed hash of the address behind the n-th identifier; stored only where the identifier does not tell it."""
        return f"coalesce(k{n}, {self.told_hash(name, n)})"

    def told_hash(self, name, n):
        """SQL: the same, as far as the identifier tells it."""
        told = {"hash": f"lower(hex(i{n}))", "text": f"sha256(decode(i{n}))", "digits": f"sha256('+' || decode(i{n}))"}
        shapes = {shape["id"]: shape.get("tells", []) for entry in self.of(name) for shape in entry.node["shapes"]}
        cases = " ".join(f"when {literal(key)} then {hmac_sql(told[tells[n]])}" for key, tells in shapes.items() if n < len(tells) and tells[n])
        return f"case shape {cases} end" if cases else "null::blob"

    def keys(self, name, source, columns):
        """SELECT of one row per key of plus operations: columns, header, value, k, m, is_first."""
        return " union all ".join(f"select {columns}{',' * bool(columns)} {self.header(name, n)} as header, i{n} as value, {self.address_hash(name, n)} as k, m{n} as m, "
                                  f"{' and '.join(['true', *(f'i{m} is null' for m in range(n))])} as is_first "
                                  f"from {source} where i{n} is not null" for n in range(self.width(name)))

    def held(self, con, name, audience, plus):
        """Create `held`: of each key of the plus operations of the relation, whether it may be and surely is there.

        Wants `minus_ops`, `refused_ops`, `no_keys`, `no_people`.
        """
        self._lives(con, name, audience)
        con.execute(f"""create or replace temp table held as
            with plus as materialized ({self.keys(name, plus, "run, shape, digest, person_id, beside, reason")}),
            refusals as materialized (select distinct run, sign, header, value from refused_ops),
            noes as (
                select plus.header, plus.value, max(by_key.rank) as key_rank, max(by_mailbox.rank) as mailbox_rank,
                    max(by_person.rank) as person_rank
                from plus
                left join no_keys by_key on by_key.k = plus.k
                left join no_keys by_mailbox on by_mailbox.k = plus.m
                left join no_people by_person on by_person.person_id = plus.person_id group by all),
            events as (
                select plus.header, plus.value, runs.seq, plus.run, 'plus' as sign, refusals.run is not null as refused, digest, shape, k, person_id, plus.reason, is_first
                from plus join runs using (run) left join refusals on refusals.run = plus.run and refusals.sign = 'plus'
                    and refusals.header = plus.header and refusals.value = plus.value
                union all
                select refusals.header, refusals.value, runs.seq, refusals.run, 'plus', true, null, null, null, null, null, null
                from refusals join runs using (run) where refusals.sign = 'plus'
                union all
                select minus_ops.header, minus_ops.value, runs.seq, minus_ops.run, 'minus', refusals.run is not null, null, minus_ops.shape, null, null, null, null
                from minus_ops join runs using (run) left join refusals on refusals.run = minus_ops.run
                    and refusals.sign = 'minus' and refusals.header = minus_ops.header and refusals.value = minus_ops.value),
            ordered as (
                select *, count(distinct seq) over (partition by header, value) = 1 and not refused as is_only,
                    max(seq) over (partition by header, value) as last_seq,
                    coalesce(min(seq) over (partition by header, value order by seq range between 1 following and unbounded following),
                        {LIVE}) as next_seq
                from events),
            lived as (
                select ordered.*, {self.own(name)} as is_own,
                    greatest(runs.died, if(sign = 'plus' and not refused and fulls.seq > runs.seq, fulls.died, 0),
                        if(is_only and sign = 'plus', only_died, 0)) as died,
                    nullif(if(refused, 0, greatest(runs.acked, if(sign = 'plus' and fulls.acked > runs.seq, fulls.acked, 0),
                        if(is_only and sign = 'plus', only_acked, 0))), 0) as acked
                from ordered join runs using (run) asof left join fulls on fulls.seq < ordered.next_seq)
            select lived.header, lived.value,
                max(died) filter (where sign = 'plus') > coalesce(max(acked) filter (where sign = 'minus'), -1) as may_be,
                coalesce(max(acked) filter (where sign = 'plus'), -2) > coalesce(max(died) filter (where sign = 'minus'), -1)
                    as surely,
                max(acked) filter (where sign = 'plus') as plus_acked, max(died) filter (where sign = 'minus') as minus_died,
                max(died) filter (where sign = 'plus') as plus_died, max(acked) filter (where sign = 'minus') as minus_acked,
                bool_or(sign = 'plus' and not refused) filter (where seq = last_seq)
                    and not bool_or(refused or sign = 'minus') filter (where seq = last_seq) as stands,
                list(digest) filter (where seq = last_seq) as digests, list(distinct person_id) as people,
                max(acked) filter (where seq = last_seq and sign = 'plus') is not null as is_known,
                bool_and(is_only) as is_only, arg_max(shape, seq) as shape, any_value(k) as k,
                max(seq) filter (where sign = 'plus') as plus_seq, coalesce(bool_or(is_first), true) as is_first,
                bool_or(lived.reason in {LASTING}) as is_lasting,
                coalesce(max(person_rank), 0) = 5 or (coalesce(greatest(max(key_rank), max(mailbox_rank)), 0) = 5 and not bool_or(is_own)) as is_erased,
                coalesce(greatest(max(key_rank), max(mailbox_rank), max(person_rank)), 0) as rank
            from lived left join noes on noes.header = lived.header and noes.value = lived.value
            group by lived.header, lived.value""")

    # ---- one run ----

    def compare(self, con, name, audience, shape, written):
        """Compare what is wanted today with what is there (R5, R6, R7). written: SELECT of id, person_id, digest, i0 … as bytes.

        Creates `standing` (id, is_sure): rows whose last operation says the same, of which nothing else is known;
        `fresh` (id, is_sure, first_sure, is_same, is_stored, is_theirs, is_only): all other rows; `gone` (header, value, shape,
        rank, is_first): what may be there and is not wanted. Returns how many people may be there.

        Most rows are as they were and of the same people, which their digests tell: the largest file of operations is read for its digests,
        and keys are looked at only where something else happened to them, or where no row of today is the same.
        """
        parts = self.source(name, audience, "plus")
        if not parts:
            return self._first(con, written)
        base = max((item for item in parts if item[1]["run"]), key=lambda item: item[1]["rows"], default=None)
        self.table(con, name, audience, "plus", [base[0]] if base else [], view="base")
        self.table(con, name, audience, "plus", [path for path, part in parts if not base or path != base[0]], view="rest")
        self.table(con, name, audience, "minus", view="minus_ops")
        self.table(con, name, audience, "refused", view="refused_ops")
        self._lives(con, name, audience)
        con.execute(f"""create or replace temp table touched as select distinct value from (
            select value from ({self.keys(name, "rest", "")}) union all select value from minus_ops union all select value from refused_ops)""")
        is_any = con.execute("select 1 from touched limit 1").fetchone()
        con.execute("create or replace temp table touched_base as select * from base where " + (" or ".join(
            f"i{n} in (from touched)" for n in range(self.width(name))) if is_any else "false"))
        con.execute(f"create or replace temp table today as select id, digest, person_id from ({written})")
        con.execute(f"""create or replace temp table clean as select digest from base semi join today using (digest, person_id)
            anti join touched_base using (digest) where shape = {literal(shape['id'])}""")
        con.execute("create or replace temp table open_rows as select * from base anti join clean using (digest)")
        con.execute("create or replace temp view operations as select * from rest union all by name select * from open_rows")
        self.held(con, name, audience, "operations")
        sure = bool(base) and con.execute(
            "select max(greatest(runs.acked, only_acked, coalesce((select max(acked) from fulls where acked > runs.seq), 0))) > 0 "
            "from runs where run = ?", [base[1]["run"]]).fetchone()[0]
        con.execute(f"create or replace temp table standing as select id, {bool(sure)} as is_sure from today semi join clean using (digest)")
        con.execute(f"create or replace temp table news as from ({written}) where id in (select id from today anti join clean using (digest))")
        con.execute(f"""create or replace temp table fresh as
            with one as ({' union all '.join(f"select id, digest, person_id, {n} as n, {literal(header)} as header, i{n} as value from news where i{n} is not null"
                                             for n, header in enumerate(shape["headers"]))}),
            known as (
                select one.id, one.n, coalesce(held.surely, false) as is_sure,
                    coalesce(held.stands and list_contains(held.digests, one.digest), false) as is_same,
                    coalesce(list_contains(held.people, one.person_id), false) as is_theirs, coalesce(held.is_known, false) as is_known, coalesce(held.is_only, true) as is_only
                from one left join held on held.header = one.header and held.value = one.value),
            rows as (
                select id, bool_and(is_sure) as is_sure, arg_min(is_sure, n) as first_sure,
                    arg_min(is_same and is_known, n) as is_same, bool_and(is_same and is_theirs) as is_stored,
                    bool_and(is_theirs) as is_theirs, bool_and(is_only) as is_only
                from known group by id)
            select id, is_sure, first_sure, is_same, is_stored, is_theirs, is_only from rows""")
        con.execute("create or replace temp table gone as select header, value, shape, rank, is_first from held where may_be")
        for n, header in enumerate(shape["headers"] if con.execute("select 1 from gone limit 1").fetchone() else ()):
            con.execute(f"""delete from gone where header = {literal(header)} and value in (
                select w.i{n} from ({written}) w join gone g on g.value = w.i{n} and g.header = {literal(header)})""")
        return con.execute("select (select count(*) from standing) + (select count(*) from held where may_be and is_first)").fetchone()[0]

    @staticmethod
    def _first(con, written):
        """`compare` where nothing was ever written."""
        con.execute("create or replace temp table standing (id bigint, is_sure boolean)")
        con.execute("create or replace temp table gone (header varchar, value blob, shape varchar, rank utinyint, is_first boolean)")
        con.execute("create or replace temp table held (header varchar, value blob, k blob, may_be boolean, surely boolean, rank utinyint, "
                    "plus_seq bigint, is_lasting boolean, is_erased boolean)")
        con.execute(f"create or replace temp table fresh as select id, false as is_sure, false as first_sure, false as is_same, "
                    f"false as is_stored, false as is_theirs, true as is_only from ({written})")
        return 0

    # ---- what may be forgotten ----

    def merge(self, con, name, scratch):
        """R14: merge the operation files of a delivery where there are many, without operations that say nothing any more: of
        a run that is over, and another of the same key, kind and acknowledgement is both newer and died later.

        Whom a key was written for is kept (R2). The largest file stays as it is: most of its rows never change again.
        """
        for audience in [*self.audiences(name), ""]:
            for sign in ("plus", "minus"):
                found = self.source(name, audience, sign)
                base = max(found, key=lambda item: item[1]["rows"], default=None)
                found = [item for item in found if item is not base]
                if len(found) < MERGE:
                    continue
                self.table(con, name, audience, sign, [path for path, _ in found], view="many")
                self._lives(con, name, audience)
                con.execute("create or replace temp table many_rows as from many")
                keys = (f"select rowid as place, header, value, run, person from ({self.keys(name, 'many_rows', 'rowid, run, person_id as person')})"
                        if sign == "plus" else "select rowid as place, header, value, run, null as person from many_rows")
                con.execute(f"""create or replace temp table kept as
                    with known as (
                        select k.*, seq, died, acked > 0 as is_acked from ({keys}) k join runs using (run))
                    select place from known where died = {LIVE}
                    union
                    select place from known
                    qualify seq = max(seq) over (partition by header, value, is_acked)
                        or died = max(died) over (partition by header, value, is_acked)
                        or seq = max(seq) over (partition by header, value, person)""")
                forgotten = "".join(f" or {self.is_forgotten(n)}" for n in range(self.width(name)))
                made, count = self.prepare(con, f"select * from many_rows where rowid in (from kept){forgotten * (sign == 'plus')}", scratch)
                part = {"delivery": name, "audience": audience, "sign": sign, "file": made.name, "rows": count, "run": None}
                self.replace(scratch, [part], found)

    @staticmethod
    def is_forgotten(n):
        """SQL: is the n-th identifier of a row an erased person's, of which the keyed hash is left, or that others have, too?"""
        return f"(k{n} is not null and (i{n} is null or reason = 'erased'))"

    def forget(self, con, name, keys, scratch):
        """R15: forget identifiers of erased people; of them only the keyed hashes stay. keys: a table of values. Wants `no_people`, `no_keys`."""
        con.execute("create or replace temp table living as select person_id from marts.customers "
                    "where person_id not in (select person_id from no_people where rank = 5)")
        # what was written for others, too, still counts (R9), but for an address that is itself on the list of the erased
        for audience in self.audiences(name):
            self.table(con, name, audience, "plus", view="all_rows")
            con.execute("create or replace temp table of_others as select * from all_rows where person_id in (from living)")
            con.execute(f"delete from {keys} where value in (select value from ({self.keys(name, 'of_others', '')}) as others "
                        "where not exists (select 1 from no_keys where no_keys.k = others.k and no_keys.rank = 5))")
        parts, found = [], []
        for sign in ("plus", "minus", "refused"):
            for audience in [*self.audiences(name), ""] if sign != "refused" else [None]:
                for path, part in self._having(con, self.source(name, audience, sign), keys):
                    columns, ids, hit = self._hit(con, literal(path), keys)
                    query = f"from {literal(path)} where not coalesce({hit}, false)"
                    if sign == "plus":
                        hashes = {f"k{n}": f"if({hit}, {self.address_hash(name, n) if f'k{n}' in columns else self.told_hash(name, n)}, "
                                  f"{f'k{n}' if f'k{n}' in columns else 'null'}) as k{n}" for n in range(self.width(name)) if f"i{n}" in columns}
                        theirs = f"{hit} and person_id not in (from living)"
                        if "person_id" in columns:  # whoever has the rest of the row now is not written under it, either (R9)
                            reason = "reason" if "reason" in columns else "null"
                            hashes["reason"] = f"if({theirs}, 'erased', {reason}) as reason"
                        more = "".join(f", {sql}" for column, sql in hashes.items() if column not in columns)
                        known = [sql for column, sql in hashes.items() if column in columns]
                        # who shared an address with an erased person is still who the rest of the row was written for (R9)
                        whose = {"person_id": theirs, "digest": hit, "beside": hit}
                        empty = ", ".join([*known, *(f"if({i} in (select value from {keys}), null, {i}) as {i}" for i in ids),
                                           *(f"if({is_theirs}, null, {c}) as {c}" for c, is_theirs in whose.items() if c in columns)])
                        query = f"select * replace ({empty}){more} from {literal(path)}"
                    made, count = self.prepare(con, query, scratch)
                    parts.append({**part, "file": made.name, "rows": count})
                    found.append((path, part))
        if found:
            self.replace(scratch, parts, found)

    @staticmethod
    def _hit(con, source, keys):
        """(columns of operations, those of identifiers, SQL: is one of them among the values of the table `keys`?)."""
        columns = [row[0] for row in con.execute(f"describe from {source}").fetchall()]
        ids = [column for column in columns if column == "value" or (column[0] == "i" and column[1:].isdigit())]
        return columns, ids, f"({' or '.join(f'{column} in (select value from {keys})' for column in ids)})"

    def _having(self, con, found, keys):
        """The files of operations, as of `source`, that have one of the values."""
        if not found:
            return []
        source = f"read_parquet([{', '.join(literal(path) for path, _ in found)}], union_by_name = true, filename = true)"
        hits = {row[0] for row in con.execute(f"select distinct filename from {source} where {self._hit(con, source, keys)[2]}").fetchall()}
        return [(path, part) for path, part in found if str(path) in hits]

    def replace(self, scratch, parts, found):
        """Put the files of operations of a folder in the place of others: found, as of `source`."""
        self.take(scratch, parts)
        self.append({"event": "merged", "replaced": [part["file"] for _, part in found], "parts": parts})
        for path, _ in found:
            path.unlink(missing_ok=True)
