"""One run over the published marts: what is written of each delivery, how it differs from the last, what guards say.

Errors: Problem 2 for a delivery that the marts cannot fill, 3 for marts that do not fulfil the contract, 75 for a
database that is being written.
"""

import re
from datetime import UTC, datetime, timedelta

import duckdb

from keyed_hash import read_key, use_key

from . import files, rows
from .config import BUSY, CHANNELS, CONTRACT, UNEXPECTED, USAGE, Problem, check_names

STEPS = {  # the waterfall: what is left after each step, and the reasons that end there
    "has_identifier": ["no_identifier"], "not_suppressed": ["erased", "complaint", "hard_bounce", "unsubscribed"],
    "consented": ["no_consent"], "not_held_out": ["held_out"], "acceptable": ["duplicate", "quarantined"],
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
    try:
        con.execute(f"attach {rows.literal(source)} as source (read_only); use source")
    except duckdb.Error as error:
        if "Could not set lock" in str(error):
            raise Problem(BUSY, f"{source}: another process is writing it; try again when it has ended") from None
        raise Problem(CONTRACT, f"{source}: this is no DuckDB database that this version reads") from None
    return con


class Run:
    """One run: what is the same for all its deliveries, and what it found out."""

    def __init__(self, con, state, now, safe, overrides):
        self.con, self.state, self.now, self.safe, self.overrides = con, state, now, safe, overrides
        self.notes, self.hits, self.fields = [], [], rows.check_contract(con)
        counts = con.execute("select audience, count(*), count(distinct hash(person_id)) from marts.audience_members "
                             "group by all").fetchall()
        self.members = {audience: members for audience, members, _ in counts}
        twice = [audience for audience, members, people in counts if members > people]
        if twice:
            raise Problem(CONTRACT, f"audience_members has a person twice in {', '.join(twice)}; rebuild the marts")
        self.catalogue, self.consent_ages = rows.catalogue(con), rows.consent_ages(con)
        self.as_of = con.execute("select max(metric_date) from marts.lifecycle_metrics").fetchone()[0]
        rows.set_time_zone(con)
        rows.read_codes(con)
        use_key(con, read_key(state.folder.parent))
        con.execute("create temp table quarantine "
                    "(person_id varchar, delivery varchar, audience varchar, field varchar, rule varchar)")

    def audiences(self, delivery):
        """The audiences to write: `all` are those made for the channel. An emptied one counts: a guard must see it."""
        known = {*self.members, *self.catalogue, *self.state.published(delivery.name).get("people", {})}
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
        folder.mkdir()
        check_names(delivery, self.fields)
        con, spec, fields = self.con, delivery.spec, {column.field for column in delivery.columns}
        beside = [channel for channel, field in (("email", "email"), ("sms", "phone"))
                  if field in fields and field not in CHANNELS[delivery.channel]]
        blocks = {channel: rows.block(con, channel) for channel in dict.fromkeys([delivery.channel, *beside])}
        if "hash" in spec:
            rows.self_test(con)
            con.execute(f"set variable salt = {rows.literal(delivery.salt)}")
        together = spec.get("together", [])
        lacking = [field for field in together if field not in fields]
        if lacking and len(lacking) < len(together):
            self.notes.append(f"{delivery.name}: {delivery.destination} compares {', '.join(together)} together or not "
                              f"at all, and {', '.join(lacking)} is not among the fields")
        record = {"destination": delivery.destination, "channel": delivery.channel, "mode": delivery.mode,
                  "format": spec["format"], "separator": spec.get("separator", ","),
                  "updated_at": delivery.payload.get("updated_at"), "attest": delivery.given.get("attest"),
                  "audiences": {}}
        audiences = self.audiences(delivery)
        held = [path for path in (self.state.snapshot(delivery.name, audience) for audience in audiences) if path]
        if delivery.merging():
            rows.share_phones(con, held)
        for audience in audiences:
            progress(f"{delivery.name}/{audience}")
            record["audiences"][audience] = self.audience(delivery, audience, blocks, folder)
        given = rows.given_identifiers(con, held)
        con.execute("create or replace temp table suppress as "
                    + rows.suppress_statement(delivery, self.fields, given, self.now))
        columns = [(row[0], rows.quoted(row[0])) for row in con.execute("describe suppress").fetchall()]
        record["suppress"] = files.write(con, folder / "suppress", delivery, "suppress", columns, "suppress",
                                         self.fields)
        record["suppression_list"] = con.execute(
            "select count(*) from marts.suppression_list where channel = ? or channel is null",
            [delivery.channel]).fetchone()[0]
        files.sync(folder)
        self.guard(delivery, record)
        return record

    def audience(self, delivery, audience, blocks, folder):
        """Write one audience of one delivery. Returns its record: waterfall, reasons, changes, files."""
        con, name = self.con, f"{delivery.name}/{audience}"
        con.execute("create or replace temp table file_rows as "
                    + rows.main_statement(delivery, audience, self.fields, blocks, self.safe))
        if con.execute("select 1 from file_rows where unknown limit 1").fetchone():
            raise Problem(CONTRACT, f"{name}: some members are not in customers; rebuild the marts")
        listed = con.execute("select count(*) from file_rows where is_listed").fetchone()[0]
        if listed:
            raise Problem(CONTRACT, f"{name}: {listed} people may be contacted by customer_channels, and their address is on "
                                    "suppression_list; rebuild the marts")
        rows.settle(con, delivery)
        columns = rows.file_columns(delivery, audience, self.now)
        record = {"fingerprint": delivery.fingerprint(self.safe), "files": [],
                  "identifiers": [column.header for column in delivery.columns if column.identifier],
                  "merging": {column.field: column.header for column in reversed(delivery.columns)
                              if delivery.merging() and column.field in ("phone", "email")}}
        sources = [("written", audience, "file_rows where reason is null", columns, "audience")]
        if delivery.mode == "delta":
            found, added, changed = self.compare(delivery, audience, record, columns)
            record |= found
            removed = rows.file_columns(delivery, audience, self.now, removed=True)
            sources = [("added", f"{audience}.added", added, columns, "audience"),
                       ("changed", f"{audience}.changed", changed, columns, "audience"),
                       ("removed", f"{audience}.removed", "gone", removed, "removed")]
        changes = {}
        for change, stem, source, shape, kind in sources:
            made = files.write(con, folder / stem, delivery, source, shape, kind, self.fields)
            record["files"] += [{**file, "change": change} for file in made]
            changes[change] = sum(file["rows"] for file in made)
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

    def compare(self, delivery, audience, record, columns):
        """Compare with what was acknowledged. Returns (the baseline's record, sources of the added and the changed).

        What is to be removed is in the table `gone`: of people who left or are known by something else now, each
        identifier that nobody in the file has any more, in a row of its own, since a row of several would also remove
        whoever shares one of them. Without an acknowledged delivery of the same mapping everybody is added and nobody
        is gone.
        """
        con, ack = self.con, self.state.acknowledged(delivery.name, audience)
        same = bool(ack) and ack["audiences"][audience]["fingerprint"] == record["fingerprint"]
        if ack and not same:
            self.notes.append(f"{delivery.name}/{audience}: the mapping or the salt changed, so everybody counts as "
                              "added and removals are withheld: replace the list there, then ack this run")
        if ack and "updated_at" in delivery.payload and datetime.fromisoformat(ack["created_at"]).replace(
                microsecond=0) >= self.now.replace(microsecond=0):
            raise Problem(UNEXPECTED, f"{delivery.name}: {delivery.payload['updated_at']} must increase, but the clock "
                                      "is behind the last delivery")
        shape = rows.snapshot_columns(record["identifiers"], columns, delivery.payload.get("updated_at"))
        written = f"select rowid as id, {shape} from file_rows where reason is null"
        if not same:
            con.execute(f"create or replace temp table gone as {written} limit 0")
            return ({"baseline": None, "baseline_people": 0, "leaving": 0}, "file_rows where reason is null",
                    "file_rows where false")
        # Most rows are as they were, which their digests alone tell. Keys are needed only for the few that are not.
        held = f"read_parquet({rows.literal(self.state.snapshot(delivery.name, audience))})"
        headers = dict(columns)
        key = rows.key(headers[header] for header in record["identifiers"])
        held_key = rows.key(f"i{n}" for n in range(len(record["identifiers"])))
        con.execute(f"create or replace temp table now_digests as select id, digest from ({written})")
        con.execute(f"""create or replace temp table stale as
            select *, {held_key} as key from {held} anti join now_digests using (digest)""")
        con.execute(f"create or replace temp table fresh as select id from now_digests anti join {held} using (digest)")
        con.execute(f"""create or replace temp table changes as select f.*, stale.key is null as is_new
            from (select *, {key} as key from file_rows where rowid in (from fresh)) f left join stale using (key)""")
        count = len(record["identifiers"])
        places = [", ".join(f"{f'stale.i{n}' if n == i else 'null'} as i{n}" for n in range(count)) for i in range(count)]
        con.execute("create or replace temp table gone as " + " union ".join(
            f"select {places[i]} from stale anti join (select {headers[header]} as now_held from file_rows "
            f"where reason is null) on now_held = stale.i{i} where stale.i{i} is not null"
            for i, header in enumerate(record["identifiers"])))
        found = con.execute(f"select (select count(*) from {held}), "
                            "(select count(*) from stale anti join changes using (key))").fetchone()
        return ({"baseline": ack["run"], "baseline_people": found[0], "leaving": found[1]},
                "changes where is_new", "changes where not is_new")

    def guard(self, delivery, record):
        """Note the guards that a delivery trips, given what was published before."""
        limits, before = self.limits(delivery), self.state.published(delivery.name)

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
        listed, now_listed = before.get("suppression_list", 0), record["suppression_list"]
        over("suppression_shrank", (listed - now_listed) / max(listed, 1),
             f": the suppression list shrank from {listed} to {now_listed}")
        for name, audience in record["audiences"].items():
            people, was = audience["waterfall"]["written"], before.get("people", {}).get(name)
            # what `all` finds may well be empty every day; what was named, or had people before, may not
            expected = was or delivery.given["audiences"] != "all"
            if limits["empty"] != "off" and people <= limits["empty"] and expected:
                self.hits.append({"guard": "empty", "message": f"{delivery.name}/{name}: {people} people to write"})
            if was:
                over("shrank", (was - people) / was, f"/{name}: shrank from {was} to {people} people")
                over("grew", (people - was) / was, f"/{name}: grew from {was} to {people} people")
            removed, base = audience.get("leaving", 0), audience.get("baseline_people", 0)
            over("removed", removed / max(base, 1), f"/{name}: {removed} of {base} people would be removed")
            count, members = audience["quarantined"], audience["waterfall"]["in_audience"]
            over("quarantined", count / max(members, 1),
                 f"/{name}: {count} of {members} people have values that {delivery.destination} does not take")
            few = delivery.spec.get("limits", {}).get("minimum_people", 0)
            if people < few:
                self.notes.append(f"{delivery.name}/{name}: {people} people, {delivery.destination} wants {few}")

    def unchanged(self, name, record):
        """Whether a delta has nothing to say: no change, no new baseline, the same suppress.csv."""
        ack = self.state.acknowledged(name)
        return bool(record["mode"] == "delta" and ack and ack["suppress"] == [f["sha256"] for f in record["suppress"]]
                    and all(a["baseline"] and not any(a["changes"].values()) for a in record["audiences"].values()))
