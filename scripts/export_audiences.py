#!/usr/bin/env python3
"""Write today's audiences as files that an ESP takes, without anyone who may not be contacted.

Reads the published marts (a DuckDB file, or a folder with one <mart>.parquet each) and destinations.yml.
A run is one folder, complete or absent: <out>/<run>/<delivery>/<audience>.csv, suppress.csv, and
manifest.json, which is written last. docs/export.md has the words, the guards and the daily routine.

exit codes:
  0  published, or nothing changed       4   a guard blocked the run: look, then --override
  1  unexpected, see the message         5   published; quarantine.csv lists withheld values
  2  usage or destinations.yml           75  busy: another run or build is at work, try again
  3  the marts do not fulfil the contract
"""

import argparse
import errno
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from audience_export import files, rows
from audience_export.config import (
    BUSY,
    CHANNELS,
    CONTRACT,
    GUARD,
    GUARDS,
    MODES,
    OK,
    QUARANTINED,
    UNEXPECTED,
    USAGE,
    Problem,
    load,
)

STAMP = "%Y%m%dT%H%M%SZ"
STEPS = {  # the waterfall: what is left after each step, and the reasons that end there
    "has_identifier": ["no_identifier"], "not_suppressed": ["erased", "complaint", "hard_bounce", "unsubscribed"],
    "consented": ["no_consent"], "not_held_out": ["held_out"], "acceptable": ["duplicate", "quarantined"],
    "not_over_cap": ["over_cap"]}
REASONS = ["erased", *(reason for reasons in STEPS.values() for reason in reasons if reason != "erased")]


class State:
    """What was published and acknowledged, append-only, in <folder>/deliveries.

    published/<run>.json: counts; acknowledged/<delivery>/<run>/: ack.json (written last) and <audience>.parquet with
    the identifiers that the destination holds (i0 …) and a digest of each row; logs/ and locks/.
    """

    def __init__(self, folder):
        self.folder = Path(folder) / "deliveries"

    @contextmanager
    def lock(self, names, create=True):
        """Hold the locks of these deliveries; Problem 75 when another process holds one."""
        with ExitStack() as stack:
            for path in (self.folder / "locks" / f"{name}.lock" for name in sorted(names)):
                if not create and not path.exists():
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                if not locked(stack.enter_context(open(path, "a"))):
                    raise Problem(BUSY, f"another run is at '{path.stem}'; try again when it has ended")
            yield

    def published(self, name):
        """The newest record of a delivery, {} before the first."""
        for path in sorted((self.folder / "published").glob("*.json"), reverse=True):
            record = json.loads(path.read_text())["deliveries"].get(name)
            if record:
                return record
        return {}

    def acknowledged(self, name, audience=None):
        """The newest ack.json of a delivery (that holds the audience), with its `folder`, or None."""
        for path in sorted((self.folder / "acknowledged" / name).glob("*/ack.json"), reverse=True):
            ack = json.loads(path.read_text())
            if audience is None or audience in ack["audiences"]:
                return {**ack, "folder": path.parent}
        return None

    def snapshot(self, name, audience):
        """The Parquet file of what a destination holds of an audience, None when nothing is known."""
        ack = self.acknowledged(name, audience)
        return ack["folder"] / f"{audience}.parquet" if ack else None


def locked(file):
    """Take an exclusive lock on an open file or handle, unless another process has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


# ---- one run ----

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
        self.members = dict(con.execute(
            "select audience, count(*) from marts.audience_members group by all").fetchall())
        self.catalogue = rows.catalogue(con)
        self.as_of = con.execute("select max(metric_date) from marts.lifecycle_metrics").fetchone()[0]
        unread = rows.read_phones(con)
        if unread:
            self.notes.append(f"{unread} phones are not in international form; install phonenumbers to have them read")
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
        con, spec, fields = self.con, delivery.spec, {column.field for column in delivery.columns}
        beside = [channel for channel, field in (("email", "email"), ("sms", "phone"))
                  if field in fields and field not in CHANNELS[delivery.channel]]
        gmail = spec.get("normalise", {}).get("email") == "gmail"
        blocks = {channel: rows.block(con, channel, gmail) for channel in dict.fromkeys([delivery.channel, *beside])}
        if "hash" in spec:
            rows.self_test(con)
            con.execute(f"set variable salt = {rows.literal(delivery.salt)}")
        record = {"destination": delivery.destination, "channel": delivery.channel, "mode": delivery.mode,
                  "format": spec["format"], "separator": spec.get("separator", ","),
                  "updated_at": delivery.payload.get("updated_at"), "attest": delivery.given.get("attest"),
                  "audiences": {}}
        for audience in self.audiences(delivery):
            progress(f"{delivery.name}/{audience}")
            record["audiences"][audience] = self.audience(delivery, audience, blocks, folder)
        held = [self.state.snapshot(delivery.name, audience) for audience in record["audiences"]]
        given = rows.given_identifiers(con, [path for path in held if path])
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
        rows.settle(con, delivery)
        columns = rows.file_columns(delivery, audience, self.now)
        record = {"fingerprint": delivery.fingerprint(self.safe), "files": [],
                  "identifiers": [column.header for column in delivery.columns if column.identifier]}
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

        Those who left are in the table `gone`. Without an acknowledged delivery of the same mapping everybody is
        added and nobody is gone.
        """
        con, ack = self.con, self.state.acknowledged(delivery.name, audience)
        same = bool(ack) and ack["audiences"][audience]["fingerprint"] == record["fingerprint"]
        if ack and not same:
            self.notes.append(f"{delivery.name}/{audience}: the mapping or the salt changed, so everybody counts as "
                              "added and removals are withheld: replace the list there, then ack this run")
        if ack and delivery.payload and datetime.fromisoformat(ack["created_at"]) >= self.now:
            raise Problem(UNEXPECTED, f"{delivery.name}: {delivery.payload['updated_at']} must increase, but the clock "
                                      "is behind the last delivery")
        shape = rows.snapshot_columns(record["identifiers"], columns, delivery.payload.get("updated_at"))
        written = f"select rowid as id, {shape} from file_rows where reason is null"
        if not same:
            con.execute(f"create or replace temp table gone as {written} limit 0")
            return {"baseline": None, "baseline_people": 0}, "file_rows where reason is null", "file_rows where false"
        # Most rows are as they were, which their digests alone tell. Keys are needed only for the few that are not.
        held = f"read_parquet({rows.literal(self.state.snapshot(delivery.name, audience))})"
        headers = dict(columns)
        key = rows.key(headers[header] for header in record["identifiers"])
        con.execute(f"create or replace temp table now_digests as select id, digest from ({written})")
        con.execute(f"""create or replace temp table stale as
            select *, {rows.key(f'i{n}' for n in range(len(record['identifiers'])))} as key from {held} anti join now_digests using (digest)""")
        con.execute(f"create or replace temp table fresh as select id from now_digests anti join {held} using (digest)")
        con.execute(f"""create or replace temp table changes as select f.*, stale.key is null as is_new
            from (select *, {key} as key from file_rows where rowid in (from fresh)) f left join stale using (key)""")
        con.execute("create or replace temp table gone as from stale anti join changes using (key)")
        return ({"baseline": ack["run"], "baseline_people": con.execute(f"select count(*) from {held}").fetchone()[0]},
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
            removed, base = audience["changes"].get("removed", 0), audience.get("baseline_people", 0)
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


def run(args):
    """Export. Returns the result as a dict with `exit_code`; see the module docstring."""
    overrides = read_overrides(args)
    deliveries, named, settings = load(args.config, args.destination, args.mode)
    state, out, source = State(args.state), Path(args.out), Path(args.source)
    with ExitStack() as stack:
        stack.enter_context(state.lock([delivery.name for delivery in deliveries], create=not args.dry_run))
        run_id, staging = stage(stack, out, args.now, args.dry_run)
        scratch = staging / ".scratch"
        scratch.mkdir()
        con = stack.enter_context(connect(source, scratch))
        this = Run(con, state, args.now, args.spreadsheet_safe, overrides)
        progress, records = Progress(len(deliveries) * len(this.members), args.json), {}
        for delivery in deliveries:
            records[delivery.name] = this.delivery(delivery, staging / delivery.name, progress)
        progress.done()
        manifest = {
            "format": 1, "run": run_id, "created_at": args.now.isoformat(), "as_of_date": this.as_of,
            "expires_at": (args.now + timedelta(days=settings.get("expires_after_days", 7))).isoformat(),
            "source": source.name, "overrides": {**overrides, "reason": args.reason} if overrides else None,
            "not_sent_anywhere": this.unsent(named, records, args.destination),
            "notes": this.notes, "deliveries": records}
        result = {"status": "published", "exit_code": OK, "run": run_id, "folder": str(out / run_id),
                  "notes": this.notes, "guards": this.hits, "manifest": manifest}
        if this.hits:
            return {**result, "status": "blocked", "exit_code": GUARD}
        for name in [name for name, record in records.items() if this.unchanged(name, record)]:
            shutil.rmtree(staging / name)
            del records[name]
            this.notes.append(f"{name}: nothing changed since the acknowledged delivery")
        if not records:
            return {**result, "status": "nothing changed"}
        if any(a["quarantined"] for record in records.values() for a in record["audiences"].values()):
            result["exit_code"] = QUARANTINED
        # Beside the deliveries, not in them: people and rules are for the marketer, not for the ESP.
        con.execute(f"copy (from quarantine order by all) to {rows.literal(staging / 'quarantine.csv')} (header)")
        files.seal(staging / "quarantine.csv")
        con.close()
        shutil.rmtree(scratch)
        if args.dry_run:
            return {**result, "status": "dry run: nothing was written"}
        files.write_json(staging / "manifest.json", manifest)
        os.rename(staging, out / run_id)
        files.sync(out)
        files.write_json(state.folder / "published" / f"{run_id}.json", {
            "run": run_id, "overrides": manifest["overrides"], "deliveries": {name: {
                "people": {a: v["waterfall"]["written"] for a, v in record["audiences"].items()},
                "suppression_list": record["suppression_list"]} for name, record in records.items()}})
        for delivery in deliveries:
            if delivery.name in records and "command" in delivery.given:
                code, log = hand_over(delivery, state, out / run_id, run_id)
                result.setdefault("commands", {})[delivery.name] = code
                if code == 0:
                    acknowledge(state, out, run_id, delivery.name)
                else:
                    result["exit_code"] = UNEXPECTED
                    this.notes.append(f"{delivery.name}: its command ended with {code}, so the run is published but "
                                      f"not acknowledged; what it said is in {log}")
        return result


def stage(stack, out, now, dry_run):
    """Reserve a run id and a hidden staging folder, which goes unless it is renamed; a killed run's goes first."""
    if dry_run:
        near = next(path for path in [out, *out.resolve().parents] if path.is_dir())
        return now.strftime(STAMP), Path(stack.enter_context(tempfile.TemporaryDirectory(".staging", dir=near)))
    out.mkdir(parents=True, exist_ok=True)
    for path in out.glob(".staging-*"):
        handle = os.open(path, os.O_RDONLY)
        if locked(handle):
            shutil.rmtree(path, ignore_errors=True)
        os.close(handle)
    for suffix in ["", *(f"-{n:03}" for n in range(2, 1000))]:
        run_id = now.strftime(STAMP) + suffix
        staging = out / f".staging-{run_id}"
        if not (out / run_id).exists() and not staging.exists():
            staging.mkdir()
            stack.callback(shutil.rmtree, staging, ignore_errors=True)
            handle = os.open(staging, os.O_RDONLY)
            stack.callback(os.close, handle)
            locked(handle)
            return run_id, staging
    raise Problem(UNEXPECTED, f"{out}: no free run id for {now.strftime(STAMP)}")


def hand_over(delivery, state, folder, run_id):
    """Run the delivery's command on its folder, without a shell. Returns (exit code, log).

    What a command prints may be personal: only a private log keeps it.
    """
    log = state.folder / "logs" / f"{run_id}-{delivery.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    places = {"folder": str((folder / delivery.name).resolve()), "run": run_id, "delivery": delivery.name}
    command = [re.sub(r"\{(folder|run|delivery)\}", lambda match: places[match[1]], part)
               for part in delivery.given["command"]]
    with open(log, "wb") as output:
        try:
            code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                  timeout=delivery.given.get("command_timeout_seconds", 3600), check=False).returncode
        except (OSError, subprocess.TimeoutExpired) as error:
            code = 124 if isinstance(error, subprocess.TimeoutExpired) else 127
    files.write_json(log.with_suffix(".json"), {"run": run_id, "delivery": delivery.name, "exit_code": code})
    return code, log


# ---- ack and purge ----

def acknowledge(state, out, run_id, name):
    """Record that a delivery arrived: the state then holds what the destination holds. Returns a sentence."""
    folder, path = Path(out) / run_id, Path(out) / run_id / "manifest.json"
    if not re.fullmatch("[0-9TZ-]+", run_id) or not path.exists():
        raise Problem(USAGE, f"{folder}: there is no such run, or it has expired")
    manifest = json.loads(path.read_text(encoding="utf-8"))
    record, latest = manifest["deliveries"].get(name), state.acknowledged(name)
    if record is None:
        raise Problem(USAGE, f"{run_id} has no delivery '{name}', only {', '.join(manifest['deliveries'])}")
    if latest and latest["run"] == run_id:
        return f"{name}: {run_id} was acknowledged before"
    if latest and latest["run"] > run_id:
        raise Problem(USAGE, f"{name}: {latest['run']} is newer and acknowledged already")
    for file in [*record["suppress"], *(file for a in record["audiences"].values() for file in a["files"])]:
        if not (folder / file["path"]).exists() or files.seal(folder / file["path"]) != file["sha256"]:
            raise Problem(USAGE, f"{folder}/{file['path']}: changed since it was written; it cannot be acknowledged")
    target = state.folder / "acknowledged" / name / run_id
    target.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(config={"temp_directory": str(target), "preserve_insertion_order": False}) as con:
        for audience, node in record["audiences"].items():
            parts = {}
            for file in node["files"]:
                columns = [(header, rows.quoted(header)) for header in file["columns"]]
                table = files.reader(folder / file["path"], record["format"], record["separator"], file["columns"])
                shape = rows.snapshot_columns(node["identifiers"], columns, record["updated_at"])
                parts.setdefault(file["change"], []).append(f"select {shape} from {table}")
            now_there = [select for change, selects in parts.items() if change != "removed" for select in selects]
            if node.get("baseline"):
                ack = state.acknowledged(name, audience)
                if ack["run"] != node["baseline"]:
                    raise Problem(USAGE, f"{name}/{audience}: {run_id} holds the changes since {node['baseline']}, but "
                                         f"{ack['run']} was acknowledged since")
                key = rows.key(f"i{n}" for n in range(len(node["identifiers"])))
                touched = " union all ".join(f"select {key} as key from ({part})"
                                             for part in parts["changed"] + parts["removed"])
                before = f"select *, {key} as key from {rows.literal(state.snapshot(name, audience))}"
                now_there.append(f"select * exclude key from ({before}) anti join ({touched}) using (key)")
            con.execute(f"copy ({' union all '.join(now_there)}) to {rows.literal(target / f'{audience}.parquet')}")
            files.seal(target / f"{audience}.parquet")
    files.write_json(target / "ack.json", {
        "run": run_id, "delivery": name, "created_at": manifest["created_at"],
        "suppress": [file["sha256"] for file in record["suppress"]],
        "audiences": {a: {"fingerprint": node["fingerprint"]} for a, node in record["audiences"].items()}})
    return f"{name}: {run_id} is acknowledged; the next delta starts from it"


def ack(args):
    """Acknowledge the deliveries of a run."""
    state, path = State(args.state), Path(args.out) / args.run / "manifest.json"
    names = args.destination or (list(json.loads(path.read_text())["deliveries"]) if path.exists() else ["run"])
    with state.lock(names, create=path.exists()):
        notes = [acknowledge(state, args.out, args.run, name) for name in names]
    return {"status": "acknowledged", "exit_code": OK, "run": args.run, "notes": notes}


def purge(args):
    """Delete expired runs, and acknowledged snapshots that a newer one has replaced (their ack.json stays)."""
    state, notes = State(args.state), []
    for path in sorted(Path(args.out).glob("*/manifest.json")):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest.get("run") == path.parent.name and datetime.fromisoformat(manifest["expires_at"]) <= args.now:
            shutil.rmtree(path.parent)
            notes.append(f"{path.parent}: expired on {manifest['expires_at'][:10]}, deleted")
    for path in sorted((state.folder / "acknowledged").glob("*/*/*.parquet")):
        name, run_id, newest = path.parts[-3], path.parts[-2], state.acknowledged(path.parts[-3], path.stem)
        if newest and newest["run"] > run_id:
            path.unlink()
            notes.append(f"{name}/{path.stem}: what {run_id} held is replaced by {newest['run']}, deleted")
    return {"status": "purged", "exit_code": OK, "notes": notes or ["nothing has expired"]}


# ---- people at a terminal ----

class Progress:
    """A bar on standard error, only where somebody can see it."""

    def __init__(self, total, quiet):
        self.total, self.count, self.show = max(total, 1), 0, sys.stderr.isatty() and not quiet

    def __call__(self, label):
        self.count = min(self.count + 1, self.total)
        if self.show:
            filled = 30 * self.count // self.total
            print(f"\r\033[K[{'#' * filled}{'.' * (30 - filled)}] {label}", end="", file=sys.stderr, flush=True)

    def done(self):
        if self.show:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def report(result):
    """The result for people: one waterfall table, then what to know and what to do."""
    manifest, status = result.get("manifest", {"deliveries": {}}), result["status"]
    audiences = [(name, audience, node) for name, record in manifest["deliveries"].items()
                 for audience, node in record["audiences"].items()]
    reasons = [reason for reason in REASONS if any(reason in node["reasons"] for _, _, node in audiences)]
    changes = [c for c in ("added", "changed", "removed") if any(c in node["changes"] for _, _, node in audiences)]
    table = [["delivery", "audience", "people", *(f"- {reason.replace('_', ' ')}" for reason in reasons), "= to send",
              *changes]]
    table += [[name, audience, node["waterfall"]["in_audience"], *(node["reasons"].get(r, 0) for r in reasons),
               node["waterfall"]["written"], *(node["changes"].get(c, "") for c in changes)]
              for name, audience, node in audiences]
    table = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in table]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(cell.ljust(width) if i < 2 else cell.rjust(width) for i, (cell, width) in
                       enumerate(zip(row, widths, strict=True))).rstrip() for row in table] + [""] if audiences else []
    nowhere = manifest.get("not_sent_anywhere", [])
    lines += [f"not sent anywhere: {', '.join(nowhere)}"] * bool(nowhere) + result["notes"]
    lines += [f"blocked by the guard '{hit['guard']}': {hit['message']}" for hit in result.get("guards", [])]
    if status == "blocked":
        names = dict.fromkeys(hit["guard"] for hit in result["guards"])
        lines.append("nothing was published; if this is right, run again with "
                     + " ".join(f"--override {name}=off" for name in names) + " --reason 'why'")
    elif status == "published":
        lines.append(f"published {result['folder']}")
        if result["exit_code"] == QUARANTINED:
            lines.append(f"values were withheld: {result['folder']}/quarantine.csv lists people, fields and rules")
    elif manifest.get("run"):
        lines.append(status)
    return "\n".join(lines)


def read_overrides(args):
    """{guard: threshold or 'off'} of --override."""
    overrides = {}
    for item in args.override:
        guard, _, value = item.partition("=")
        if guard not in GUARDS or not re.fullmatch(r"off|\d+(\.\d+)?", value):
            raise Problem(USAGE, f"--override {item}: give GUARD=NUMBER or GUARD=off, GUARD being {', '.join(GUARDS)}")
        overrides[guard] = value if value == "off" else float(value)
    if overrides and not (args.reason or "").strip():
        raise Problem(USAGE, "--override needs --reason 'why': it is recorded in the manifest")
    return overrides


def moment(text):
    """A time with zone from ISO 8601; without a zone it is UTC."""
    value = datetime.fromisoformat(text)
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)


def parser():
    """The command line."""
    raw = argparse.RawDescriptionHelpFormatter
    main = argparse.ArgumentParser(prog="export_audiences.py", description=__doc__, formatter_class=raw,
                                   epilog="`export_audiences.py run --help` lists the options of a run.")
    commands, common = main.add_subparsers(dest="command", metavar="COMMAND"), argparse.ArgumentParser(add_help=False)
    common.add_argument("--out", default="exports", metavar="FOLDER", help="where the runs are (default: %(default)s)")
    common.add_argument("--state", default=os.environ.get("LIFECYCLE_STATE", "state"), metavar="FOLDER",
                        help="what was published and acknowledged (default: $LIFECYCLE_STATE or state)")
    common.add_argument("--json", action="store_true", help="print one JSON document, for machines")
    common.add_argument("--now", type=moment, default=datetime.now(UTC), metavar="ISO", help="instead of the clock")
    one = {"action": "append", "default": [], "metavar": "NAME", "help": "only this delivery; repeat for more"}
    export = commands.add_parser("run", parents=[common], help="write the audiences (the default command)",
                                 description=__doc__, formatter_class=raw)
    export.add_argument("--destination", **one)
    export.add_argument("--mode", choices=MODES,
                        help="full lists, or changes since the acknowledged delivery (default: as configured)")
    export.add_argument("--from", dest="source", metavar="PATH", help="published DuckDB file, or folder of "
                        "<mart>.parquet (default: $LIFECYCLE_PUBLISHED or published/customer_lifecycle.duckdb)",
                        default=os.environ.get("LIFECYCLE_PUBLISHED", "published/customer_lifecycle.duckdb"))
    export.add_argument("--config", default="destinations.yml", metavar="FILE", help="(default: %(default)s)")
    export.add_argument("--dry-run", action="store_true", help="run every check, leave nothing behind, same exit code")
    export.add_argument("--spreadsheet-safe", action="store_true",
                        help="put ' before text that a spreadsheet would run, instead of withholding it")
    export.add_argument("--override", action="append", default=[], metavar="GUARD=VALUE",
                        help=f"for this run: a threshold or off. Guards: {', '.join(GUARDS)}")
    export.add_argument("--reason", metavar="TEXT", help="why; needed with --override, recorded in the manifest")
    taken = commands.add_parser("ack", parents=[common], help="say that a run arrived: deltas start from it")
    taken.add_argument("run", metavar="RUN", help="the run's folder name")
    taken.add_argument("--destination", **one)
    commands.add_parser("purge", parents=[common], help="delete expired runs and replaced snapshots")
    return main


def main(argv=None):
    """Run one command. Returns the exit code. An error is one line on standard error, never with personal data."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] not in ("run", "ack", "purge", "-h", "--help"):
        argv.insert(0, "run")
    args = parser().parse_args(argv)
    os.umask(0o077)
    stopped = []

    def stop(number, _):
        stopped.append(128 + number)
        sys.exit(stopped[0])

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        result = {"run": run, "ack": ack, "purge": purge}[args.command](args)
        text = json.dumps(result, indent=2, ensure_ascii=False, default=str) if args.json else report(result)
    except Problem as error:
        result = {"status": "error", "exit_code": error.code, "message": str(error)}
    except Exception as error:
        if stopped:  # within a query DuckDB makes an error of its own out of the exit
            sys.exit(stopped[0])
        result = {"status": "error", "exit_code": UNEXPECTED, "message": explain(error)}
    if result["status"] == "error":
        text = json.dumps(result) if args.json else f"error: {result['message']}"
    wrong = result["exit_code"] not in (OK, QUARANTINED)
    print(text, file=sys.stderr if wrong and not args.json else sys.stdout)
    return result["exit_code"]


def explain(error):
    """One sentence about an unexpected error. DuckDB quotes values in its messages: only the kind may be told."""
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT) or any(
            text in str(error) for text in ("No space left", "File too large", "max_temp_directory_size")):
        return "the disk is full, or a size limit is reached; make room and run again (no run is half published)"
    frame = error.__traceback__
    while frame.tb_next:
        frame = frame.tb_next
    kind = " ".join([type(error).__name__, *[errno.errorcode.get(number, "")] * bool(number)])
    return (f"unexpected {kind} at {Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}; no run is half "
            "published; the details are withheld, since they may be personal")


if __name__ == "__main__":
    sys.exit(main())
