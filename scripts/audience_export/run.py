"""One run over the published marts: what is written of each delivery, how it differs from the last, what guards say.

Errors: Problem 2 for a delivery that the marts cannot fill, 3 for marts that do not fulfil the contract, 75 for a
database that is being written.
"""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import duckdb

from common import sync
from keyed_hash import read_key, use_key

from . import files, rows
from .config import CHANNELS, CONTRACT, UNEXPECTED, USAGE, Column, Problem, check_names

STEPS = {  # the waterfall: what is left after each step, and the reasons that end there
    "has_identifier": ["no_identifier"], "not_suppressed": ["erased", "complaint", "hard_bounce", "unsubscribed"],
    "consented": ["no_consent"], "first_choice": ["other_audience"], "not_held_out": ["held_out"], "acceptable": ["duplicate", "quarantined"],
    "not_over_cap": ["over_cap"]}
FEW = 5  # events that may be missing by chance: none of five expected is less than 1 in 100
REASONS = ["erased", *(reason for reasons in STEPS.values() for reason in reasons if reason != "erased")]


def connect(source, scratch):
    """A DuckDB connection in which `marts` are the published ones, read-only."""
    con = duckdb.connect(config={"autoinstall_known_extensions": False, "temp_directory": str(scratch),
                                 "preserve_insertion_order": False, "TimeZone": "UTC"})
    if source.is_dir():
        con.execute("attach ':memory:' as source; use source; create schema marts")
        for path in (source / f"{mart}.parquet" for mart in rows.MARTS):
            if path.exists():
                con.execute(f"create view marts.{path.stem} as from read_parquet({rows.literal(path)})")
        return con
    if not source.exists():
        raise Problem(CONTRACT, f"{source}: there is no published database; build and publish it, or give --from")
    con.execute(f"attach {rows.literal(source)} as source (read_only); use source")
    return con


class Run:
    """One run: what is the same for all its deliveries, and what it found out."""

    def __init__(self, con, state, scratch, run_id, now, safe, overrides, former):  # noqa: PLR0917
        self.con, self.ledger, self.run_id, self.now, self.safe, self.overrides = con, state.ledger, run_id, now, safe, overrides
        self.only_noes = bool(con.execute("select 1 from duckdb_tables() where schema_name = 'marts' and table_name = 'noes_only'").fetchone())
        self.scratch, self.parts, self.shapes, self.former, self.wanted, self.forgettable = scratch, [], [], former, {}, {}
        use_key(con, state.key())
        self.notes, self.hits, self.fields = [], [], rows.check_contract(con)
        counts = con.execute("select audience, count(*), count(distinct hash(person_id)) from marts.audience_members "
                             "group by all").fetchall()
        self.members = {audience: members for audience, members, _ in counts}
        twice = [audience for audience, members, people in counts if members > people]
        if twice:
            raise Problem(CONTRACT, f"audience_members has a person twice in {', '.join(twice)}; rebuild the marts")
        self.catalogue, self.consent_ages, self.load_ages = rows.catalogue(con), rows.consent_ages(con), rows.load_ages(con, now)
        self.priorities = rows.priorities(con)
        self.as_of = con.execute("select max(metric_date) from marts.lifecycle_metrics").fetchone()[0]
        rows.set_time_zone(con)
        rows.read_codes(con)
        rows.read_other_domains(con)
        use_key(con, read_key(state.folder.parent))
        con.execute("create temp table quarantine "
                    "(person_id varchar, delivery varchar, audience varchar, field varchar, rule varchar)")

    def audiences(self, delivery):
        """The audiences to write: `all` are those made for the channel. An emptied one counts: a guard must see it."""
        if self.only_noes:  # these marts know of no audience: of what was written, who said no is removed
            return []
        known = {*self.members, *self.catalogue, *self.ledger.last(delivery.name).get("people", {})}
        given = delivery.given["audiences"]
        if given == "all":
            return sorted(name for name in known if delivery.channel in self.catalogue.get(name, CHANNELS))
        for name in given:
            if delivery.channel not in self.catalogue.get(name, CHANNELS):
                self.notes.append(f"{delivery.name}/{name}: this audience was made for {self.catalogue[name]}")
            if name not in known and self.limits(delivery)["empty"] != "off":
                raise Problem(USAGE, f"deliveries.{delivery.name}.audiences: the marts have no audience '{name}', only "
                                     f"{', '.join(sorted(known))}; if it is empty today, give --override empty=off")
            if name == "suppress" or not re.fullmatch("[A-Za-z0-9_-]+", name):
                raise Problem(USAGE, f"deliveries.{delivery.name}.audiences: '{name}' cannot be a file name")
        return list(dict.fromkeys(given))

    def unsent(self, named, records, destinations):
        """The audiences that no delivery takes; unknown, so [], when a part of the deliveries that take `all` runs."""
        if named is None and destinations:
            return []
        written = {audience for record in records.values() for audience in record["audiences"]}
        return sorted(self.members.keys() - (written if named is None else named))

    def limits(self, delivery):
        return {**delivery.guards, **self.overrides}

    def delivery(self, delivery, folder, progress):
        """Write all files of one delivery into folder. Returns its record for the manifest."""
        folder.mkdir(parents=True)
        if not self.only_noes:
            check_names(delivery, self.fields)
        con, spec, fields = self.con, delivery.spec, {column.field for column in delivery.columns}
        beside = [channel for channel, field in (("email", "email"), ("sms", "phone"))
                  if field in fields and field not in CHANNELS[delivery.channel]]
        rows.contact(con, delivery.channel)
        lists = {channel: rows.listed(con, channel) for channel in dict.fromkeys([delivery.channel, *beside])}
        if "hash" in spec:
            rows.self_test(con)
            con.execute(f"set variable salt = {rows.literal(delivery.salt)}")
        together = spec.get("together", [])
        lacking = [field for field in together if field not in fields]
        if lacking and len(lacking) < len(together):
            self.notes.append(f"{delivery.name}: {delivery.destination} compares {', '.join(together)} together or not "
                              f"at all, and {', '.join(lacking)} is not among the fields")
        self.parts, self.shapes = [], [delivery.shape()]
        record = {"destination": delivery.destination, "channel": delivery.channel, "account": delivery.account,
                  "mode": delivery.mode, "format": spec["format"], "separator": spec.get("separator", ","),
                  "updated_at": delivery.payload.get("updated_at"), "attest": delivery.given.get("attest"),
                  "given": delivery.given, "shapes": self.shapes, "audiences": {}, "suppress": []}
        last = next((entry.node for entry in reversed(self.ledger.of(delivery.name)) if entry.acked), None)
        if "updated_at" in delivery.payload and last and datetime.fromisoformat(last["at"]).replace(microsecond=0) >= self.now.replace(microsecond=0):
            raise Problem(UNEXPECTED, f"{delivery.name}: {delivery.payload['updated_at']} must increase, but the clock "
                                      "is behind the last delivery")
        rows.explicit_noes(con, delivery.channel)
        self.read_held(delivery)
        con.execute("create or replace temp table erased_keys (header varchar, value blob, k blob, may_be boolean)")
        audiences = self.audiences(delivery)
        if delivery.merging():
            rows.share_phones(con, self.pairs(delivery))
        if delivery.given.get("one_per_person"):
            rows.first_choices(con, audiences, self.priorities)
        for audience in audiences:
            progress(f"{delivery.name}/{audience}")
            record["audiences"][audience] = self.audience(delivery, audience, lists, folder)
        for audience in self.ledger.audiences(delivery.name):
            if audience not in audiences:
                self.dropped(delivery, audience, folder, record)
        if delivery.is_sender:
            self.suppress(delivery, folder, record)
        else:
            self.settle_erased(delivery)
        # what may not shrink: an opt-out ends with a new yes, a suppression does not
        record["suppression_list"] = con.execute(
            "select count(*) from marts.suppression_list where (channel = ? or channel is null) and reason is distinct from 'opted_out'",
            [delivery.channel]).fetchone()[0]
        record["parts"] = self.parts
        sync(folder)
        if delivery.mode != "noes":
            self.guard(delivery, record)
        return record

    def noes(self, delivery, folder, progress):
        """Write only what never waits for a guard: who said no, and their removals. Returns the record, None of nothing."""
        hits, notes = len(self.hits), len(self.notes)
        record = self.delivery(replace(delivery, mode="noes"), folder, progress)
        del self.hits[hits:], self.notes[notes:]
        record["audiences"] = {name: node for name, node in record["audiences"].items() if node["files"]}
        for node in record["audiences"].values() if self.only_noes else ():
            del node["dropped"]  # nothing is known of what is still delivered
        told = sum(file["rows"] for file in record["suppress"]) + sum(node["changes"]["removed"] for node in record["audiences"].values())
        return record if told else None

    def audience(self, delivery, audience, lists, folder):
        """Write one audience of one delivery. Returns its record: waterfall, reasons, changes, files."""
        con, name = self.con, f"{delivery.name}/{audience}"
        con.execute("create or replace temp table file_rows as "
                    + rows.main_statement(delivery, audience, self.fields, lists, self.safe))
        if con.execute("select 1 from file_rows where unknown limit 1").fetchone():
            raise Problem(CONTRACT, f"{name}: some members are not in customers; rebuild the marts")
        listed = con.execute("select count(*) from file_rows where is_listed").fetchone()[0]
        if listed:
            raise Problem(CONTRACT, f"{name}: {listed} people may be contacted by customer_channels, and their address is on "
                                    "suppression_list; rebuild the marts")
        self.block_held(delivery)
        rows.settle(con, delivery)
        columns = rows.file_columns(delivery, audience, self.now)
        record = {"files": [], "identifiers": delivery.shape()["headers"]}
        record |= self.compare(delivery, audience, columns)
        sent = "file_rows where reason is null"
        sources = {"full": [("written", audience, sent, columns, "audience")], "noes": [], "delta": [
            (change, f"{audience}.{change}", f"{sent} and rowid in (select id from sending where change = '{change}')", columns, "audience")
            for change in ("added", "changed")]}[delivery.mode]
        changes = {}
        for change, stem, source, shape, kind in sources:
            made = files.write(con, folder / stem, delivery, source, shape, kind, self.fields)
            record["files"] += [{**file, "change": change} for file in made]
            changes[change] = sum(file["rows"] for file in made)
        made = self.removed(delivery, audience, folder, always=delivery.mode == "delta")
        record["files"] += made
        if made or delivery.mode != "full":
            changes["removed"] = sum(file["rows"] for file in made)
        for table in ("today", "clean", "open_rows", "touched", "touched_base", "news", "standing"):  # they are large
            con.execute(f"drop table if exists {table} cascade")
        reasons = dict(con.execute("select coalesce(reason, ''), count(*) from file_rows group by all").fetchall())
        headers = [column.header for column in delivery.columns]
        con.execute("create or replace temp table withheld as select person_id, withheld from file_rows "
                    "where withheld <> '' and coalesce(reason, 'quarantined') = 'quarantined'")
        con.execute(f"""insert into quarantine select person_id, ?, ?, {headers}[split_part(item, ':', 1)::int + 1],
            split_part(item, ':', 2) from (select person_id, unnest(string_split(withheld, ' ')) as item from withheld)
            """, [delivery.name, audience])
        record["quarantined"] = con.execute("select count(*) from withheld").fetchone()[0]
        left = members = self.members.get(audience, 0)
        waterfall = {"in_audience": members}
        for step, ends in STEPS.items():
            left -= sum(reasons.get(reason, 0) for reason in ends)
            waterfall[step] = left
        waterfall["written"] = changes["written"] if delivery.mode == "full" else reasons.get("", 0)
        if sum(reasons.values()) != members or left != waterfall["written"]:
            raise Problem(CONTRACT, f"{name}: {members} members make {sum(reasons.values())} rows, so customers, "
                                    "customer_channels or customer_campaign_facts has several rows for one person; "
                                    "rebuild the marts")
        reasons = {reason: reasons[reason] for reason in REASONS if reason in reasons}
        return {**record, "waterfall": waterfall, "reasons": reasons, "changes": changes}

    # ---- against the ledger ----

    def read_held(self, delivery):
        """Create `held_people`: keys that were written for somebody who said no, where their address does not tell already; and
        `forgotten_people` (person_id, field), whose address an erased person had: of theirs the ledger has the keyed hash alone.
        """
        con, ledger = self.con, self.ledger
        con.execute("create or replace temp table held_people (header varchar, value blob, rank utinyint)")
        con.execute("create or replace temp table forgotten (k blob)")
        for name, audience in [(its, audience) for its in self.names(delivery) for audience in ledger.audiences(its)]:
            ledger.table(con, name, audience, "plus", view="all_rows")
            con.execute("create or replace temp table theirs as select all_rows.*, p.rank from all_rows join no_people p using (person_id)")
            con.execute(f"insert into held_people select header, value, max(rank) from ({ledger.keys(name, 'theirs', 'rank')}) t "
                        "anti join no_keys using (k) group by all")
            for n in range(ledger.width(name)):
                con.execute(f"insert into forgotten select k{n} from all_rows where {ledger.is_forgotten(n)}")
        con.execute("create or replace temp table forgotten_people (person_id varchar, field varchar, rank utinyint)")
        if con.execute("select 1 from forgotten limit 1").fetchone():
            con.execute(f"insert into forgotten_people select person_id, field, 5 from {rows.own_hashes(con, delivery.channel)} semi join forgotten using (k)")

    def names(self, delivery):
        """A delivery, and those that are no more and whose place it may have taken under a new name."""
        def may_be(node):
            account, own = node["given"].get("account"), delivery.given.get("account")
            return (node["destination"], node["channel"]) == (delivery.destination, delivery.channel) and (account == own or not (account and own))

        return [delivery.name, *(name for name in sorted(self.former - {delivery.name}) if may_be(self.ledger.of(name)[-1].node))]

    def block_held(self, delivery):
        """R9: a key that was ever written for somebody who said no is written for nobody. Whoever has another address that the
        channel may use as well stays under that.
        """
        con, ids = self.con, {i: column for i, column in enumerate(delivery.columns) if column.identifier}
        for table in ("held_people", "forgotten_people"):
            if not con.execute(f"select 1 from {table} limit 1").fetchone():
                continue
            for i, column in ids.items():
                others = [f"c{other}" for other in ids if other != i]
                beside = f"coalesce({', '.join(others)}) is not null" if others and column.field in CHANNELS[delivery.channel][1:] else "false"
                found = {"held_people": f"header = {rows.literal(column.header)} and value = {rows.as_bytes(f'c{i}', delivery.hashes(column))}",
                         "forgotten_people": f"field = {rows.literal(column.field or '')} and bad.person_id = file_rows.person_id"}[table]
                con.execute(f"update file_rows set c{i} = if({beside}, null, c{i}), reason = if({beside}, null, {rows.BLOCKS}[bad.rank]) "
                            f"from {table} bad where reason is null and {found}")

    def pairs(self, delivery):
        """SELECT of phone and email that were ever written beside each other (R12)."""
        queries = ["select null::varchar as phone, null::varchar as email where false"]
        columns = "beside, decode(i0)" if delivery.merging() == "phone" else "decode(i0), beside"
        for n, audience in enumerate(self.ledger.audiences(delivery.name)):
            self.ledger.table(self.con, delivery.name, audience, "plus", view=f"pairs{n}")
            queries.append(f"select {columns} from pairs{n} where beside is not null")
        return " union all ".join(queries)

    def written(self, delivery, columns):
        """SELECT of what is written as the ledger compares it: id, person_id, digest, i0 …"""
        ids = [(i, column) for i, column in enumerate(delivery.columns) if column.identifier]
        return (f"select rowid as id, person_id, {rows.digest(columns, delivery.payload.get('updated_at'))} as digest, "
                + ", ".join(f"{rows.as_bytes(f'c{i}', delivery.hashes(column))} as i{n}" for n, (i, column) in enumerate(ids))
                + " from file_rows where reason is null")

    def compare(self, delivery, audience, columns):
        """Decide what is sent (`sending`), what leaves (`gone`), and store the operations. Returns the guards' counts."""
        con, shape, run = self.con, delivery.shape(), rows.literal(self.run_id)
        held = self.ledger.compare(con, delivery.name, audience, shape, self.written(delivery, columns))
        con.execute("insert into erased_keys select header, value, k, may_be from held where is_erased")
        if delivery.mode == "delta":
            con.execute("""create or replace temp table sending as
                select id, if(first_sure, 'changed', 'added') as change from fresh where not (is_sure and is_same)
                union all select id, 'added' from standing where not is_sure""")
        self.keep_wanted(delivery, audience, shape)
        if delivery.mode == "noes":  # without a list in the place of the last nobody is taken out of it
            con.execute(f"delete from gone where rank = 0 or {delivery.imports == 'replaces'}")
        else:
            stored = "not is_stored"
            if delivery.mode == "delta":  # whom a key is for is kept (R2), even where nothing is written anew
                stored = "(not is_stored or not is_only) and id in (select id from sending) or not is_theirs"
            is_new = audience not in self.ledger.audiences(delivery.name)
            self.store(audience, "plus", self.additions(delivery, shape, columns, "true" if is_new else f"rowid in (select id from fresh where {stored})"))
        self.store(audience, "minus", f"select {run} as run, shape, header, value from gone")
        leaving, noes = con.execute("select count(*) filter (where rank = 0 and is_first and shape = ?), count(*) filter (where rank > 0) "
                                    "from gone", [shape["id"]]).fetchone()
        return {"held": held, "leaving": leaving, "said_no": noes}

    def additions(self, delivery, shape, columns, where):
        """SELECT of the operations that add rows: as written, by whose address, for whom."""
        ids = [(i, column) for i, column in enumerate(delivery.columns) if column.identifier]
        other = delivery.merging()
        beside = next((f"f.c{i}" for i, column in enumerate(delivery.columns) if column.field == other and not column.identifier), "null::varchar")
        people = "true" if None in shape["tells"] else "contains(p.email, '@g')" if "email" in [column.field for _, column in ids] else ""
        more = []
        for n, (i, column) in enumerate(ids):
            field = column.field if column.field in rows.TYPES else CHANNELS[delivery.channel][0]
            more.append(f"{rows.as_bytes(f'f.c{i}', delivery.hashes(column))} as i{n}"
                        + f", if(f.c{i} is null, null, {rows.address_hash(f'a.{field}')}) as k{n}" * (shape["tells"][n] is None)
                        + f", {rows.address_hash('a.mailbox')} as m{n}" * (column.field == "email"))
        return (f"select {rows.literal(self.run_id)} as run, {rows.literal(shape['id'])} as shape, "
                f"{rows.digest(columns, delivery.payload.get('updated_at'))} as digest, f.person_id, {beside} as beside, {', '.join(more)} "
                f"from (select * from file_rows where reason is null and {where}) f"
                + (f" left join ({rows.address_shas(people)}) a on a.person_id = f.person_id" if people else ""))

    def store(self, audience, sign, query):
        """Keep operations for the ledger, as a file that publishing moves there."""
        path, rows_ = self.ledger.prepare(self.con, query, self.scratch)
        if rows_:
            self.parts.append({"audience": audience, "sign": sign, "file": path.name, "rows": rows_})
        else:
            path.unlink()

    def settle_erased(self, delivery):
        """R15: note whose identifiers nobody has to be told any more: they are removed, and suppressed where that can be."""
        told = ", ".join(map(rows.literal, sorted(self.ledger.told))) or "'-'"
        surely = "value in (select value from told_keys where surely)" if delivery.is_sender else "true"
        self.con.execute(f"""create or replace temp table settled as select value from erased_keys group by value
            having bool_or(left(lower(hex(k)), 16) in ({told})) or (not bool_or(may_be) and bool_or({surely}))""")
        self.forgettable[delivery.name] = self.con.execute("from settled").fetchall()

    def keep_wanted(self, delivery, audience, shape):
        """A delivery of old whose audience another one of the same destination and channel writes keeps what that one wants."""
        con, place = self.con, (delivery.destination, delivery.channel, audience)
        table = f"wanted_{sum(map(len, self.wanted.values()))}"
        if self.former:
            con.execute(f"create temp table {table} as select unnest([{', '.join(map(rows.literal, shape['headers']))}]) as header, unnest(["
                        + ", ".join(rows.as_bytes(f"c{i}", delivery.hashes(c)) for i, c in enumerate(delivery.columns) if c.identifier)
                        + "]) as value from file_rows where reason is null")
            self.wanted.setdefault(place, []).append((delivery.given.get("account"), table))

    def dropped(self, delivery, audience, folder, record):
        """The last removals of an audience that the delivery no longer has: of all that may be there."""
        con, shape = self.con, delivery.shape()
        nobody = ", ".join(f"null::blob as i{n}" for n in range(len(shape["headers"])))
        self.ledger.compare(con, delivery.name, audience, shape, f"select 0::bigint as id, null::varchar as person_id, null::uuid as digest, {nobody} where false")
        con.execute("insert into erased_keys select header, value, k, may_be from held where is_erased")
        for account, table in self.wanted.get((delivery.destination, delivery.channel, audience), []) if delivery.name in self.former else []:
            if not (account and delivery.given.get("account")) or account == delivery.account:
                con.execute(f"delete from gone where rank = 0 and (header, value) in (from {table})")
        if delivery.mode == "noes":  # without a list in the place of the last nobody is taken out of it
            con.execute(f"delete from gone where rank = 0 or {delivery.imports == 'replaces'}")
        self.store(audience, "minus", f"select {rows.literal(self.run_id)} as run, shape, header, value from gone")
        made = self.removed(delivery, audience, folder, always=False)
        count = con.execute("select count(*) from gone").fetchone()[0]
        if delivery.imports == "replaces" and count and delivery.mode != "noes":  # an empty list in the place of the last
            con.execute("create or replace temp table file_rows as select " + ", ".join(f"null::varchar as c{i}" for i in range(len(delivery.columns)))
                        + " where false")
            made = [{**file, "change": "written"} for file in files.write(
                con, folder / audience, delivery, "file_rows", rows.file_columns(delivery, audience, self.now), "old", self.fields)]
        if made:
            record["audiences"][audience] = {"files": made, "identifiers": shape["headers"], "dropped": True, "quarantined": 0,
                                             "waterfall": {"in_audience": 0, "written": 0}, "reasons": {}, "changes": {"removed": count}}
            renamed = f"; if it has another name now, say `renamed_from: {delivery.name}` there" if delivery.name in self.former else ""
            self.notes.append(f"{delivery.name}/{audience}: no longer delivered; its last {count} members are to be removed{renamed}")

    def removed(self, delivery, audience, folder, *, always):
        """Write who is to be removed (`gone`), each identifier in a row of its own: a row of several would also remove who
        shares one of them. One file per shape: what was written otherwise is removed as it was written (R11).
        """
        con, now_shape, made = self.con, delivery.shape(), []
        if delivery.imports == "replaces":
            return []
        shapes = [row[0] for row in con.execute("select distinct shape from gone order by all").fetchall()]
        for key in [now_shape["id"]] * (always and now_shape["id"] not in shapes) + shapes:
            shape = now_shape if key == now_shape["id"] else self.shape(delivery, key)
            columns = ", ".join(f"if(header = {rows.literal(header)}, {rows.as_text('value', shape['hex'][n])}, null) as i{n}"
                                for n, header in enumerate(shape["headers"]))
            con.execute(f"create or replace temp table leaving as select {columns} from gone where shape = {rows.literal(key)}")
            stem, kind, source = f"{audience}.removed", "removed", delivery
            if shape is not now_shape:
                stem, kind = f"{audience}.removed.{key}", "old"
                ids = [Column(header, None, identifier=True) for header in shape["headers"]]
                source = replace(delivery, columns=ids)
            columns = rows.file_columns(source, audience, self.now, removed=True)
            made += [{**file, "change": "removed", "shape": key} for file in
                     files.write(con, folder / stem, source, "leaving", columns, kind, self.fields)]
        return made

    def shape(self, delivery, key):
        """A shape by its id; the manifest has those that any of its files is in."""
        found = next((shape for shape in self.shapes if shape["id"] == key), None) or self.ledger.shape(delivery.name, key)
        if found not in self.shapes:
            self.shapes.append(found)
        return found

    # ---- who said no ----

    def suppress(self, delivery, folder, record):
        """Write suppress.csv: who said no, as far as the account may hold them or was not told for sure; and
        unsuppress.csv: whom it suppresses on our word, and who said yes since (R10).
        """
        con, ledger, columns = self.con, self.ledger, delivery.suppress_columns()
        ids = [column for column in columns if column.identifier]
        shape = delivery.shape(ids)
        shape["id"] = f"s{shape['id']}"
        record["shapes"].append(shape)
        names = [delivery.name, *sorted({entry.name for entry in ledger.entries if entry.name != delivery.name
                                         and (entry.node["account"], entry.node["channel"]) == (delivery.account, delivery.channel)})]
        con.execute("create or replace temp table told (header varchar, value blob, plus_acked bigint, minus_died bigint, plus_died bigint, "
                    "minus_acked bigint, published_at timestamp, is_lasting boolean)")
        con.execute("create or replace temp table ever (header varchar, value blob, rank utinyint, reason varchar, said_at timestamp, shape varchar, "
                    "run varchar, is_own boolean)")
        for name in names:
            for sign, view in (("plus", "told_rows"), ("minus", "minus_ops"), ("refused", "refused_ops")):
                ledger.table(con, name, "", sign, view=view)
            ledger.held(con, name, "", "told_rows")
            con.execute("insert into told select header, value, plus_acked, minus_died, plus_died, minus_acked, published_at, is_lasting "
                        "from held left join runs on runs.seq = plus_seq")
            if name == delivery.name:  # told again by a full run, and written in no audience any more
                con.execute("insert into erased_keys select header, value, k, false from held where is_erased")
            for audience in ledger.audiences(name):
                ledger.table(con, name, audience, "plus", view="all_rows")
                told = ", ".join(map(rows.literal, sorted(ledger.told)))
                con.execute(f"""insert into ever
                    with one as ({ledger.keys(name, "all_rows", "person_id, shape, run")})
                    select header, value, greatest(a.rank, b.rank, p.rank), coalesce(a.reason, b.reason, p.reason), coalesce(a.said_at, b.said_at), shape,
                        run, {ledger.own(name)}
                    from one left join no_keys a on a.k = one.k left join no_keys b on b.k = one.m
                    left join no_people p on p.person_id = one.person_id
                    where coalesce(left(lower(hex(one.k)), 16), '') not in ({told or "'-'"})""")
        # whoever has another address now is not who said no or is erased by the former one
        con.execute("""delete from ever using (select header, value, max(run) as run from ever where is_own group by all) newest
            where ever.is_own and ever.header = newest.header and ever.value = newest.value and ever.run < newest.run""")
        # R5 and R6, of what all deliveries of the account said: one may have lifted what another one told
        con.execute("""create or replace temp table told_keys as
            select header, value, coalesce(max(plus_acked), -2) > coalesce(max(minus_died), -1) as surely,
                coalesce(max(plus_died), -2) > coalesce(max(minus_acked), -1) as may_be, max(published_at) as published_at,
                bool_or(coalesce(is_lasting, false)) as is_lasting
            from told group by header, value""")
        con.execute("create or replace temp table held_noes as " + " union all ".join(
            f"select {n} as n, {rows.as_text('value', shape['hex'][n])} as value, reason, said_at from ever "
            f"where rank > 0 and header = {rows.literal(column.header)}" for n, column in enumerate(ids)))
        con.execute("create or replace temp table suppress as " + rows.suppress_statement(delivery, self.fields, self.now))
        texts = [rows.quoted(f"~i{n}") for n in range(len(ids))]
        key = " union all ".join(f"select rowid as id, {rows.literal(column.header)} as header, {rows.as_bytes(texts[n], shape['hex'][n])} as value "
                                 f"from suppress where {texts[n]} is not null" for n, column in enumerate(ids))
        con.execute(f"""create or replace temp table noes as
            select id, header, value, (header, value) in (select (header, value) from told_keys where surely) as is_told,
                (header, value) in (select (header, value) from ever) as is_held from ({key})""")
        # an erased person whom nobody has to be told of any more is named no more, by a full run neither
        self.settle_erased(delivery)
        due = "not is_told" + " or is_held" * (delivery.mode == "full")
        con.execute(f"create or replace temp table due as select * from noes where ({due}) and value not in (from settled)")
        headers = [(row[0], rows.quoted(row[0])) for row in con.execute("describe suppress").fetchall() if not row[0].startswith("~")]
        record["suppress"] = files.write(con, folder / "suppress", delivery, "suppress where rowid in (select id from due)", headers,
                                         "suppress", self.fields)
        places = ", ".join(f"if(header = {rows.literal(c.header)}, value, null) as i{n}" for n, c in enumerate(ids))
        self.store("", "plus", f"select {rows.literal(self.run_id)} as run, {rows.literal(shape['id'])} as shape, {places}, "
                               'suppress."~reason" as reason from due join suppress on suppress.rowid = due.id')
        self.suppress_others(delivery, ids, folder, record)
        if delivery.mode != "noes":
            self.unsuppress(delivery, ids, shape, folder, record)
            self.unsuppress_others(delivery, names, ids, folder, record)

    def suppress_others(self, delivery, ids, folder, record):
        """The same by identifiers that suppress.csv has no column for: an id of one's own, or what was used before."""
        con, known = self.con, ", ".join(rows.literal(column.header) for column in ids)
        con.execute(f"""create or replace temp table others as
            select header, value, max(shape) as shape, min(reason) as reason from ever where rank > 0 and header not in ({known})
            and (header, value) not in (select (header, value) from told_keys where surely) group by header, value""")
        for header, key in con.execute("select header, max(shape) from others group by all order by all").fetchall():
            shape = self.shape(delivery, key)
            n = shape["headers"].index(header)
            con.execute(f"create or replace temp table leaving as select {rows.as_text('value', shape['hex'][n])} as i0, reason from others "
                        f"where header = {rows.literal(header)}")
            values = {"{reason}": "reason", "{suppressed_at}": rows.literal(self.now.strftime(delivery.time_form("TIMESTAMP", None)))}
            record["suppress"] += self.write_others(delivery, header, delivery.suppress_columns(), values, folder / "suppress")
            self.store("", "plus", f"select {rows.literal(self.run_id)} as run, shape, "
                       + ", ".join(f"{'value' if m == n else 'null::blob'} as i{m}" for m in range(len(shape["headers"])))
                       + f", reason from others where header = {rows.literal(header)}")

    def write_others(self, delivery, header, columns, values, stem):
        """Write `leaving` (i0 …) under a header that today's files have no column for, with the constants of `columns`. Returns the files."""
        source = replace(delivery, columns=[Column(header, None, identifier=True)])
        constants = [column for column in columns if not column.identifier and not column.field]
        shaped = [(header, "i0"), *((c.header, values.get(c.constant) or rows._constant_sql(delivery, c)) for c in constants)]
        shaped = rows._wrapped(delivery, shaped, [header], self.now)
        return files.write(self.con, stem.with_name(f"{stem.name}.{header.lower().replace(' ', '_')}"), source, "leaving", shaped, "old", self.fields)

    def unsuppress(self, delivery, ids, shape, folder, record):
        """R10: lift only our own suppressions, for a yes dated after them, never after an erasure, complaint or hard bounce."""
        con, columns = self.con, delivery.unsuppress_columns()
        con.execute("""create or replace temp table lifted as
            select header, value, published_at from (from told_keys where may_be
                and (not is_lasting or (header, value) in (select (header, value) from ever where is_own))) anti join noes using (header, value)""")
        if not con.execute("select 1 from lifted limit 1").fetchone():
            return
        contact, yes = rows.contact(con, delivery.channel), []
        for n, column in enumerate(ids):
            plus = "'+' || " if delivery.kinds(column.field) == ["digits"] else ""
            own = f"{plus}decode(value)" if not shape["hex"][n] else "null"
            yes.append(f"""select {', '.join('lifted_text' if m == n else 'null' for m in range(len(ids)))}, header, value, consented_at from (
                select decode(value) as lifted_text, header, value, {rows.in_utc('TIMESTAMP', 'c.consented_at')} as consented_at
                from (from lifted where header = {rows.literal(column.header)}) l
                join (select p.person_id, {rows.ADDRESS[column.field]} as address from {rows.PERSON}) p on p.address = {own}
                join {contact} c on c.person_id = p.person_id where c.rank = 0 and {rows.in_utc('TIMESTAMP', 'c.consented_at')} > l.published_at)""")
        names = ", ".join(f"i{n}" for n in range(len(ids)))
        con.execute(f"create or replace temp table back as with yes({names}, header, value, consented_at) as ({' union all '.join(yes)}) "
                    f"select {names}, header, value, max(consented_at) as consented_at from yes group by all")
        count = con.execute("select count(*) from back").fetchone()[0]
        if count and columns is None:
            record["cannot_be_lifted"] = count
            self.notes.append(f"{delivery.name}: {count} people said yes again after {delivery.destination} was told their no; it lifts a "
                              "suppression by no file, so they stay suppressed there until somebody lifts it by hand")
        elif count:
            form = rows.literal(delivery.time_form("TIMESTAMP", None))
            shaped = [(c.header, f"i{ids.index(c)}" if c.identifier else f"strftime(consented_at, {form})" if c.constant == "{consented_at}"
                       else rows._constant_sql(delivery, c)) for c in columns]
            shaped = rows._wrapped(delivery, shaped, [c.header for c in ids], self.now)
            source = replace(delivery, columns=ids)
            record["unsuppress"] = files.write(con, folder / "unsuppress", source, "back", shaped, "old", self.fields)
            self.store("", "minus", f"select {rows.literal(self.run_id)} as run, {rows.literal(shape['id'])} as shape, header, value from back")

    def unsuppress_others(self, delivery, names, ids, folder, record):
        """The same by identifiers that unsuppress.csv has no column for, where all whom one was written for said yes since."""
        con, ledger, columns = self.con, self.ledger, delivery.unsuppress_columns()
        known = ", ".join(rows.literal(column.header) for column in ids)
        con.execute(f"""create or replace temp table others as
            select * from lifted join (select header, value, max(shape) as shape from ever where header not in ({known})
            group by header, value having coalesce(max(rank), 0) = 0) using (header, value)""")
        if columns is None or not con.execute("select 1 from others limit 1").fetchone():
            return
        con.execute("create or replace temp table theirs (header varchar, value blob, person_id varchar)")
        for name, audience in [(its, audience) for its in names for audience in ledger.audiences(its)]:
            ledger.table(con, name, audience, "plus", view="all_rows")
            con.execute(f"insert into theirs select header, value, person_id from ({ledger.keys(name, 'all_rows', 'person_id')}) semi join others using (header, value)")
        consented_at = rows.in_utc("TIMESTAMP", "c.consented_at")
        con.execute(f"""create or replace temp table back as
            select header, value, any_value(shape) as shape, max({consented_at}) as consented_at
            from others join theirs using (header, value) left join {rows.contact(con, delivery.channel)} c using (person_id)
            group by header, value having bool_and(coalesce(c.rank = 0 and {consented_at} > published_at, false))""")
        form = rows.literal(delivery.time_form("TIMESTAMP", None))
        for header, key in con.execute("select header, max(shape) from back group by all order by all").fetchall():
            shape = self.shape(delivery, key)
            text = rows.as_text("value", shape["hex"][shape["headers"].index(header)])
            con.execute(f"create or replace temp table leaving as select {text} as i0, consented_at from back where header = {rows.literal(header)}")
            made = self.write_others(delivery, header, columns, {"{consented_at}": f"strftime(consented_at, {form})"}, folder / "unsuppress")
            record["unsuppress"] = record.get("unsuppress", []) + made
            self.store("", "minus", f"select {rows.literal(self.run_id)} as run, shape, header, value from back where header = {rows.literal(header)}")

    def guard(self, delivery, record):
        """Note the guards that a delivery trips, given what was published before."""
        limits, before = self.limits(delivery), self.ledger.last(delivery.name)

        def over(guard, value, sentence):
            if limits[guard] != "off" and value > limits[guard]:
                self.hits.append({"guard": guard, "message": f"{delivery.name}{sentence}"})

        ended = datetime.combine(self.as_of + timedelta(days=1), datetime.min.time(), UTC)
        age = (self.now - ended).total_seconds() / 3600
        over("source_age_hours", age, f": the marts are as of {self.as_of}, which ended {age:.0f} hours ago")
        for source, days, expected in self.consent_ages:
            if expected >= FEW:
                over("consent_age_days", days, f": the newest consent of '{source}' is {days} days older than the marts, "
                                               f"where about {expected} more were to be expected; who said no since "
                                               "then is not known")
        for source, table, hours in self.load_ages:
            over("load_age_hours", hours, f": the {table} of '{source}' were last loaded {hours:.0f} hours ago; who said no since then is not known")
        listed, now_listed = before.get("suppression_list", 0), record["suppression_list"]
        over("suppression_shrank", (listed - now_listed) / max(listed, 1),
             f": the suppression list shrank from {listed} to {now_listed}, opt-outs not counted")
        for name, audience in record["audiences"].items():
            if audience.get("dropped"):
                continue
            people, was = audience["waterfall"]["written"], before.get("people", {}).get(name)
            # what `all` finds may well be empty every day; what was named, or had people before, may not
            expected = was or delivery.given["audiences"] != "all"
            if limits["empty"] != "off" and people <= limits["empty"] and expected:
                self.hits.append({"guard": "empty", "message": f"{delivery.name}/{name}: {people} people to write"})
            if was:
                over("shrank", (was - people) / was, f"/{name}: shrank from {was} to {people} people")
                over("grew", (people - was) / was, f"/{name}: grew from {was} to {people} people")
            removed, base = audience["leaving"] if record["mode"] == "delta" else 0, audience["held"]
            over("removed", removed / max(base, 1), f"/{name}: {removed} of {base} would be removed who said no no")
            count, members = audience["quarantined"], audience["waterfall"]["in_audience"]
            over("quarantined", count / max(members, 1),
                 f"/{name}: {count} of {members} people have values that {delivery.destination} does not take")
            few = delivery.spec.get("limits", {}).get("minimum_people", 0)
            if people < few:
                self.notes.append(f"{delivery.name}/{name}: {people} people, {delivery.destination} wants {few}")

    @staticmethod
    def unchanged(record):
        """Whether a delta has nothing to say."""
        made = [*record["suppress"], *record.get("unsuppress", []), *(f for a in record["audiences"].values() for f in a["files"])]
        return record["mode"] != "full" and not any(file["rows"] for file in made)
