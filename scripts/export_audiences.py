#!/usr/bin/env python3
"""Write today's audiences as files that an ESP takes, without anyone who may not be contacted.

Reads the published marts (a DuckDB file, or a folder with one <mart>.parquet each) and destinations.yml.
A run is one folder, complete or absent: <out>/<run>/<delivery>/<audience>.csv, suppress.csv, and
manifest.json, which is written last. docs/export.md has the words, the guards and the daily routine.

exit codes:
  0  published, or nothing changed       4   a guard blocked the run: look, then --override
  1  unexpected; nothing was published   5   published; quarantine.csv lists withheld values
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
    digest,
    load,
)

STAMP = "%Y%m%dT%H%M%SZ"
STEPS = {  # the waterfall: what is left after each step, and the reasons that end there
    "has_identifier": ["no_identifier"],
    "not_suppressed": ["erased", "complaint", "hard_bounce", "unsubscribed"],
    "consented": ["no_consent"],
    "not_held_out": ["held_out"],
    "acceptable": ["duplicate", "quarantined"],
    "not_over_cap": ["over_cap"],
}


# ---- state: what was published (counts) and acknowledged (identifiers and row digests), append-only ----


class State:
    """<state>/deliveries: published/<run>.json, acknowledged/<delivery>/<run>/{ack.json, <audience>.parquet}."""

    def __init__(self, folder):
        self.folder = Path(folder) / "deliveries"

    @contextmanager
    def lock(self, names, create=True):
        """Hold the locks of these deliveries. Problem 75 when another process holds one."""
        with ExitStack() as stack:
            for name in sorted(names):
                path = self.folder / "locks" / f"{name}.lock"
                if not create and not path.exists():
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context(open(path, "a"))
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise Problem(BUSY, f"another run is writing '{name}'; try again when it has ended") from None
            yield

    def last_published(self, name):
        """The newest record of a delivery, {} before the first."""
        for path in sorted((self.folder / "published").glob("*.json"), reverse=True):
            record = json.loads(path.read_text())["deliveries"].get(name)
            if record:
                return record
        return {}

    def last_ack(self, name, audience=None):
        """The newest acknowledgement of a delivery (that holds the audience) as ack.json says, or None."""
        for path in sorted((self.folder / "acknowledged" / name).glob("*/ack.json"), reverse=True):
            ack = json.loads(path.read_text())
            if audience is None or audience in ack["audiences"]:
                return {**ack, "folder": path.parent}
        return None

    def put(self, relative, write):
        """Create a folder by write(path): complete, durable and only then visible. An existing one stays."""
        target = self.folder / relative
        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=target.parent))
        try:
            write(staging)
            for path in staging.iterdir():
                files.seal(path)
            files.sync_folder(staging)
            os.rename(staging, target)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        files.sync_folder(target.parent)

    def record(self, run, record):
        path = self.folder / "published" / f"{run}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path.with_suffix(".part"), record)
        os.rename(path.with_suffix(".part"), path)
        files.sync_folder(path.parent)


def write_json(path, node):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(node, file, indent=2, ensure_ascii=False, default=str)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


# ---- one run ----


def connect(source, scratch):
    """A DuckDB connection in which `marts` are the published ones, read-only."""
    con = duckdb.connect(
        config={
            "autoinstall_known_extensions": False,
            "temp_directory": str(scratch),
            "preserve_insertion_order": False,
            "TimeZone": "UTC",
        }
    )
    if source.is_dir():
        con.execute("attach ':memory:' as source; use source; create schema marts")
        for mart in rows.MARTS:
            if (source / f"{mart}.parquet").exists():
                con.execute(
                    f"create view marts.{mart} as from read_parquet({rows.literal(source / f'{mart}.parquet')})"
                )
        return con
    if not source.exists():
        raise Problem(CONTRACT, f"{source}: there is no published database; build and publish first, or give --from")
    try:
        con.execute(f"attach {rows.literal(source)} as source (read_only); use source")
    except duckdb.IOException as error:
        if "lock" in str(error):
            raise Problem(BUSY, f"{source}: another process is writing it; try again when it has ended") from None
        raise Problem(CONTRACT, f"{source}: this is no DuckDB database that this version can read") from None
    return con


def audiences_of(delivery, members, state, guards):
    """The audiences to write. One that has emptied since the last run still counts, so that a guard sees it."""
    known = set(state.last_published(delivery.name).get("people", {}))
    if delivery.audiences == "all":
        return sorted(members | known)
    for name in delivery.audiences:
        if name not in members | known and guards["empty"] != "off":
            raise Problem(
                USAGE,
                f"deliveries.{delivery.name}.audiences: the marts have no audience '{name}', only "
                f"{', '.join(sorted(members)) or 'none'}; if it is empty today, give --override empty=off",
            )
        if name == "suppress" or not re.fullmatch("[A-Za-z0-9_-]+", name):
            raise Problem(USAGE, f"deliveries.{delivery.name}.audiences: '{name}' cannot be a file name")
    return list(dict.fromkeys(delivery.audiences))


def export_audience(con, delivery, audience, context, folder):
    """Write one audience of one delivery. Returns its record for the manifest: waterfall, files, changes."""
    types, state, now, blocks = context["types"], context["state"], context["now"], context["blocks"]
    con.execute(
        f"create or replace temp table file_rows as {rows.main_statement(delivery, audience, types, blocks, context['safe'])}"
    )
    if con.execute("select 1 from file_rows where unknown limit 1").fetchone():
        raise Problem(CONTRACT, f"audience '{audience}' has people who are not in customers; rebuild the marts")
    rows.settle(con, delivery)
    reasons = dict(con.execute("select coalesce(reason, 'written'), count(*) from file_rows group by all").fetchall())
    members = con.execute("select count(*) from marts.audience_members where audience = ?", [audience]).fetchone()[0]
    columns = rows.file_columns(delivery, audience, now)
    headers = [column.header for column in delivery.columns if column.identifier]
    key, row_digest = rows.key_and_digest(headers, columns, delivery.updated_at)
    fingerprint = digest(
        delivery.destination,
        delivery.channel,
        delivery.spec["format"],
        delivery.columns,
        delivery.spec.get("normalise"),
        delivery.spec.get("hash"),
        context["safe"],
        digest(delivery.salt),
    )
    record = {"fingerprint": fingerprint, "identifiers": headers, "changes": {}, "files": []}
    if delivery.mode == "full":
        record["files"] += files.write(
            con, folder, audience, delivery, "file_rows where reason is null", columns, "audience", types
        )
        record["changes"]["written"] = sum(file["rows"] for file in record["files"])
        written = record["changes"]["written"]
    else:
        ack = state.last_ack(delivery.name, audience)
        same = bool(ack) and ack["audiences"][audience]["fingerprint"] == fingerprint
        record["baseline"] = ack["run"] if same else None
        if ack and not same:
            context["notes"].append(
                f"{delivery.name}/{audience}: the mapping or the salt changed, so everybody counts as added "
                f"and removals are withheld: replace the list there, then ack this run"
            )
        if ack and delivery.updated_at and datetime.fromisoformat(ack["created_at"]) >= now:
            raise Problem(
                UNEXPECTED,
                f"{delivery.name}: {delivery.updated_at} must increase, but the clock is behind the last delivery",
            )
        ids = ", ".join(f"null::varchar as i{n}" for n in range(len(headers)))
        snapshot = (
            f"select * from read_parquet({rows.literal(ack['folder'] / (audience + '.parquet'))})"
            if same
            else f"select ''::varchar as key, 0::ubigint as digest, {ids} where false"
        )
        con.execute(f"create or replace temp table snapshot as {snapshot}")
        con.execute(f"""create or replace temp table now_rows as select f.rowid as id, {key} as key, {row_digest} as digest
            from file_rows f where reason is null""")
        con.execute("""create or replace temp table changes as select n.id, s.key is null as is_new from now_rows n
            left join snapshot s using (key) where s.key is null or s.digest is distinct from n.digest""")
        con.execute("create or replace temp table gone as select * from snapshot s anti join now_rows n using (key)")
        for change, source, shape, kind in [
            ("added", "file_rows where rowid in (select id from changes where is_new)", columns, "audience"),
            ("changed", "file_rows where rowid in (select id from changes where not is_new)", columns, "audience"),
            ("removed", "gone", rows.file_columns(delivery, audience, now, removed=True), "removed"),
        ]:
            made = files.write(con, folder, f"{audience}.{change}", delivery, source, shape, kind, types)
            record["files"] += [{**file, "change": change} for file in made]
            record["changes"][change] = sum(file["rows"] for file in made)
        record["baseline_people"], written = con.execute(
            "select (select count(*) from snapshot), (select count(*) from now_rows)"
        ).fetchone()
    withheld = con.execute(
        """select count(*) from file_rows where reason = 'quarantined' or (reason is null and withheld <> '')"""
    ).fetchone()[0]
    con.execute(f"""insert into quarantine select person_id, {rows.literal(delivery.name)}, {rows.literal(audience)},
        list_extract({[column.header for column in delivery.columns]}, split_part(item, ':', 1)::int + 1), split_part(item, ':', 2)
        from (select person_id, unnest(string_split(withheld, ' ')) as item from file_rows
              where withheld <> '' and (reason is null or reason = 'quarantined'))""")
    left, waterfall = members, {"in_audience": members}
    for step, ends in STEPS.items():
        left -= sum(reasons.get(reason, 0) for reason in ends)
        waterfall[step] = left
    waterfall["written"] = written
    if sum(reasons.values()) != members or left != written:
        raise Problem(
            CONTRACT,
            f"{delivery.name}/{audience}: the waterfall does not add up ({members} people, {sum(reasons.values())} rows); "
            f"customers or customer_channels has several rows for one person",
        )
    reasons.pop("written", None)
    return {
        **record,
        "waterfall": waterfall,
        "reasons": {r: reasons[r] for r in rows.REASONS if r in reasons},
        "quarantined": withheld,
    }


def export_delivery(con, delivery, context, folder, progress):
    """Write all files of one delivery into folder. Returns its record for the manifest."""
    folder.mkdir()
    gmail = delivery.spec.get("normalise", {}).get("email") == "gmail"
    fields = {column.field for column in delivery.columns}
    beside = [
        channel
        for channel, field in (("email", "email"), ("sms", "phone"))
        if field in fields and field not in CHANNELS[delivery.channel]
    ]
    context["blocks"] = {
        channel: rows.block(con, channel, gmail) for channel in dict.fromkeys([delivery.channel, *beside])
    }
    con.execute("set variable salt = ''")
    if delivery.spec.get("hash"):
        rows.self_test(con)
        con.execute(f"set variable salt = {rows.literal(delivery.salt)}")
    record = {
        "destination": delivery.destination,
        "channel": delivery.channel,
        "mode": delivery.mode,
        "format": delivery.spec["format"],
        "separator": delivery.spec.get("separator", ","),
        "updated_at": delivery.updated_at,
        "attest": delivery.attest,
        "audiences": {},
    }
    given = []
    for audience in audiences_of(
        delivery, context["members"], context["state"], guards_of(delivery, context["overrides"])
    ):
        progress(f"{delivery.name}/{audience}")
        record["audiences"][audience] = export_audience(con, delivery, audience, context, folder)
        ack = context["state"].last_ack(delivery.name, audience)
        given += (
            [f"select key from read_parquet({rows.literal(ack['folder'] / (audience + '.parquet'))})"] if ack else []
        )
    statement = rows.suppress_statement(delivery, context["types"], " union ".join(given), context["now"])
    con.execute(f"create or replace temp table suppress as {statement}")
    columns = [(row[0], rows.quoted(row[0])) for row in con.execute("describe suppress").fetchall()]
    record["suppress"] = files.write(
        con, folder, "suppress", delivery, "suppress", columns, "suppress", context["types"]
    )
    record["suppression_list"] = con.execute(
        "select count(*) from marts.suppression_list where channel = ? or channel is null", [delivery.channel]
    ).fetchone()[0]
    for made in [record["suppress"], *(a["files"] for a in record["audiences"].values())]:
        for file in made:
            file.update(sha256=files.seal(file["path"]), path=f"{delivery.name}/{file['path'].name}")
    files.sync_folder(folder)
    return record


def guards_of(delivery, overrides):
    return {**delivery.guards, **overrides}


def guard_hits(delivery, record, context):
    """[(guard, sentence)] of all guards that this delivery trips, given what was published before."""
    limits, before, hits = guards_of(delivery, context["overrides"]), context["state"].last_published(delivery.name), []

    def over(guard, value, sentence):
        if limits[guard] != "off" and value > limits[guard]:
            hits.append((guard, f"{delivery.name}{sentence}"))

    age = (
        context["now"] - datetime.combine(context["as_of"] + timedelta(days=1), datetime.min.time(), UTC)
    ).total_seconds() / 3600
    over(
        "source_age_hours",
        age,
        f": the marts are as of {context['as_of']}, which ended {age:.0f} hours ago (allowed: {limits['source_age_hours']})",
    )
    listed, now_listed = before.get("suppression_list", 0), record["suppression_list"]
    over(
        "suppression_shrank",
        (listed - now_listed) / max(listed, 1),
        f": the suppression list shrank from {listed} to {now_listed}",
    )
    for name, audience in record["audiences"].items():
        people, was = audience["waterfall"]["written"], before.get("people", {}).get(name)
        if limits["empty"] != "off" and people <= limits["empty"]:
            hits.append(("empty", f"{delivery.name}/{name}: {people} people to write"))
        if was:
            over("shrank", (was - people) / was, f"/{name}: shrank from {was} to {people} people")
            over("grew", (people - was) / was, f"/{name}: grew from {was} to {people} people")
        removed, base = audience["changes"].get("removed", 0), audience.get("baseline_people") or 0
        over("removed", removed / max(base, 1), f"/{name}: {removed} of {base} people would be removed")
        count, members = audience["quarantined"], audience["waterfall"]["in_audience"]
        over(
            "quarantined",
            count / max(members, 1),
            f"/{name}: {count} of {members} people have values that {delivery.destination} does not take",
        )
    return hits


def run(args):
    """Export, and return the result as a dict with `exit_code`; see the module docstring."""
    now = args.now
    overrides = read_overrides(args)
    deliveries, named, settings = load(args.config, args.destination, args.mode)
    state, out = State(args.state), Path(args.out)
    with ExitStack() as stack:
        stack.enter_context(state.lock([d.name for d in deliveries], create=not args.dry_run))
        run_id, staging = stage(stack, out, now, args.dry_run)
        (staging / ".scratch").mkdir()
        con = stack.enter_context(connect(Path(args.source), staging / ".scratch"))
        types = rows.check_contract(con)
        members = {row[0] for row in con.execute("select distinct audience from marts.audience_members").fetchall()}
        result = {
            "status": "published",
            "exit_code": OK,
            "run": run_id,
            "folder": str(out / run_id),
            "notes": [],
            "guards": [],
        }
        context = {
            "types": types,
            "state": state,
            "now": now,
            "safe": args.spreadsheet_safe,
            "members": members,
            "overrides": overrides,
            "notes": result["notes"],
            "as_of": con.execute("select max(metric_date) from marts.lifecycle_metrics").fetchone()[0],
        }
        unread = rows.read_phones(con)
        if unread:
            result["notes"].append(
                f"{unread} phones are not in international form; install phonenumbers to have them read by country"
            )
        con.execute(
            "create temp table quarantine (person_id varchar, delivery varchar, audience varchar, field varchar, rule varchar)"
        )
        records, progress = {}, Progress(len(deliveries) * (len(members) + 1), args.json)
        for delivery in deliveries:
            record = records[delivery.name] = export_delivery(con, delivery, context, staging / delivery.name, progress)
            result["guards"] += [
                {"guard": guard, "message": text} for guard, text in guard_hits(delivery, record, context)
            ]
            few = delivery.spec.get("limits", {}).get("minimum_people", 0)
            result["notes"] += [
                f"{delivery.name}/{name}: {a['waterfall']['written']} people, {delivery.destination} wants {few} or more"
                for name, a in record["audiences"].items()
                if a["waterfall"]["written"] < few
            ]
        progress.done()
        result["not_sent_anywhere"] = sorted(members - named) if named is not None else []
        manifest = {
            "format": 1,
            "run": run_id,
            "created_at": now.isoformat(),
            "as_of_date": context["as_of"],
            "expires_at": (now + timedelta(days=settings.get("expires_after_days", 7))).isoformat(),
            "source": Path(args.source).name,
            "spreadsheet_safe": args.spreadsheet_safe,
            "overrides": {"reason": args.reason, **overrides} if overrides else None,
            "not_sent_anywhere": result["not_sent_anywhere"],
            "notes": result["notes"],
            "deliveries": records,
        }
        result["manifest"] = manifest
        if result["guards"]:
            return {**result, "status": "blocked", "exit_code": GUARD}
        for name in [name for name, record in records.items() if unchanged(state, name, record)]:
            shutil.rmtree(staging / name)
            result["notes"].append(f"{name}: nothing changed since the acknowledged delivery")
            manifest["deliveries"] = {key: value for key, value in manifest["deliveries"].items() if key != name}
        if not manifest["deliveries"]:
            return {**result, "status": "nothing changed"}
        bad = sum(a["quarantined"] for record in manifest["deliveries"].values() for a in record["audiences"].values())
        result["exit_code"] = QUARANTINED if bad else OK
        quarantine = (
            staging / "quarantine.csv"
        )  # beside the deliveries: person ids and rules, no values, not for the ESP
        con.execute(f"copy (from quarantine order by all) to {rows.literal(quarantine)} (header)")
        files.seal(quarantine)
        con.close()
        shutil.rmtree(staging / ".scratch")
        if args.dry_run:
            return {**result, "status": "dry run: nothing was written"}
        write_json(staging / "manifest.json", manifest)
        files.sync_folder(staging)
        os.rename(staging, out / run_id)
        files.sync_folder(out)
        state.record(
            run_id,
            {
                "run": run_id,
                "overrides": manifest["overrides"],
                "deliveries": {
                    name: {
                        "people": {a: v["waterfall"]["written"] for a, v in record["audiences"].items()},
                        "suppression_list": record["suppression_list"],
                    }
                    for name, record in manifest["deliveries"].items()
                },
            },
        )
        for delivery in deliveries:
            if delivery.command and delivery.name in manifest["deliveries"]:
                code = hand_over(delivery, state, out / run_id, run_id)
                result.setdefault("commands", {})[delivery.name] = code
                if code == 0:
                    acknowledge(state, out, run_id, delivery.name)
                else:
                    result["exit_code"] = UNEXPECTED
                    result["notes"].append(
                        f"{delivery.name}: its command ended with {code}, the run is not acknowledged; what it "
                        f"said is in {state.folder / 'logs' / f'{run_id}-{delivery.name}.log'}"
                    )
        return result


def stage(stack, out, now, dry_run):
    """Reserve a run id and its hidden staging folder, which disappears unless it is renamed. A killed run's goes first."""
    if dry_run:
        near = next(path for path in [out, *out.resolve().parents] if path.is_dir())
        return now.strftime(STAMP), Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix=".staging-dry-", dir=near))
        )
    out.mkdir(parents=True, exist_ok=True)
    for path in out.glob(".staging-*"):
        handle = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(handle)
    for n in range(1, 1000):
        run_id = now.strftime(STAMP) + (f"-{n:03}" if n > 1 else "")
        staging = out / f".staging-{run_id}"
        if (out / run_id).exists():
            continue
        try:
            staging.mkdir()
        except FileExistsError:
            continue
        handle = os.open(staging, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
        stack.callback(os.close, handle)
        stack.callback(shutil.rmtree, staging, ignore_errors=True)
        return run_id, staging
    raise Problem(UNEXPECTED, f"{out}: no free run id for {now.strftime(STAMP)}")


def unchanged(state, name, record):
    """Whether a delta delivery has nothing to say: no change, no re-baseline, the same suppress.csv."""
    ack = state.last_ack(name)
    return bool(
        record["mode"] == "delta"
        and ack
        and ack["suppress"] == [file["sha256"] for file in record["suppress"]]
        and all(a["baseline"] and not any(a["changes"].values()) for a in record["audiences"].values())
    )


def hand_over(delivery, state, folder, run_id):
    """Run the delivery's command on its folder, without a shell. What it prints may be personal: a private file keeps it."""
    log = state.folder / "logs" / f"{run_id}-{delivery.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    places = {"folder": str((folder / delivery.name).resolve()), "run": run_id, "delivery": delivery.name}
    command = [re.sub(r"\{(folder|run|delivery)\}", lambda match: places[match[1]], part) for part in delivery.command]
    with open(log, "wb") as output:
        try:
            code = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=delivery.command_timeout,
            ).returncode
        except FileNotFoundError:
            code = 127
        except PermissionError:
            code = 126
        except subprocess.TimeoutExpired:
            code = 124
    record = {"run": run_id, "delivery": delivery.name, "command": delivery.command[0], "exit_code": code}
    write_json(state.folder / "logs" / f"{run_id}-{delivery.name}.json", record)
    return code


# ---- ack and purge ----


def read_manifest(out, run_id):
    path = Path(out) / run_id / "manifest.json"
    if not re.fullmatch(r"[0-9TZ-]+", run_id) or not path.exists():
        raise Problem(
            USAGE, f"{out}/{run_id}: there is no such run (it may have expired); `ls {out}` shows those there are"
        )
    return json.loads(path.read_text(encoding="utf-8"))


def acknowledge(state, out, run_id, name):
    """Record that a delivery arrived: the state then holds what the destination holds. Returns a sentence."""
    manifest = read_manifest(out, run_id)
    record, latest = manifest["deliveries"].get(name), state.last_ack(name)
    if record is None:
        raise Problem(USAGE, f"{run_id} has no delivery '{name}', only {', '.join(manifest['deliveries'])}")
    if latest and latest["run"] == run_id:
        return f"{name}: {run_id} was acknowledged before"
    if latest and latest["run"] > run_id:
        raise Problem(USAGE, f"{name}: {latest['run']} is newer and acknowledged already")
    for file in [*record["suppress"], *(file for a in record["audiences"].values() for file in a["files"])]:
        path = Path(out) / run_id / file["path"]
        if not path.exists() or files.seal(path) != file["sha256"]:
            raise Problem(
                USAGE, f"{run_id}/{file['path']}: changed since it was written; this run cannot be acknowledged"
            )

    def write(folder):
        with duckdb.connect(
            config={"temp_directory": str(folder / ".scratch"), "preserve_insertion_order": False}
        ) as con:
            for audience, node in record["audiences"].items():

                def part(*changes, ids=False):
                    selects = []
                    for file in (file for file in node["files"] if file.get("change") in changes):
                        columns = [(header, rows.quoted(header)) for header in file["columns"]]
                        key, row_digest = rows.key_and_digest(node["identifiers"], columns, record["updated_at"])
                        names = ", ".join(
                            f"{rows.quoted(header)} as i{n}" for n, header in enumerate(node["identifiers"])
                        )
                        table = files.reader(Path(out) / run_id / file["path"], record, file["columns"])
                        selects.append(
                            f"select {key} as key{'' if ids else f', {row_digest} as digest, {names}'} from {table}"
                        )
                    return " union all ".join(selects)

                select = part(None, "added", "changed")
                if node.get("baseline"):
                    ack = state.last_ack(name, audience)
                    if ack is None or ack["run"] != node["baseline"]:
                        raise Problem(
                            USAGE,
                            f"{name}/{audience}: {run_id} is a delta against {node['baseline']}, which is not the last one acknowledged",
                        )
                    select += (
                        f" union all select * from read_parquet({rows.literal(ack['folder'] / (audience + '.parquet'))}) "
                        f"where key not in (select key from ({part('changed', 'removed', ids=True)}) where key is not null)"
                    )
                con.execute(f"copy ({select}) to {rows.literal(folder / (audience + '.parquet'))} (format parquet)")
        shutil.rmtree(folder / ".scratch", ignore_errors=True)
        write_json(
            folder / "ack.json",
            {
                "run": run_id,
                "delivery": name,
                "created_at": manifest["created_at"],
                "suppress": [file["sha256"] for file in record["suppress"]],
                "audiences": {
                    a: {"fingerprint": v["fingerprint"], "people": v["waterfall"]["written"]}
                    for a, v in record["audiences"].items()
                },
            },
        )

    state.put(Path("acknowledged") / name / run_id, write)
    return f"{name}: {run_id} is acknowledged; the next delta starts from it"


def ack(args):
    state, manifest = State(args.state), read_manifest(args.out, args.run)
    names = args.destination or list(manifest["deliveries"])
    with state.lock(names):
        notes = [acknowledge(state, args.out, args.run, name) for name in names]
    return {"status": "acknowledged", "exit_code": OK, "run": args.run, "notes": notes}


def purge(args):
    """Delete expired runs, and acknowledged snapshots that a newer one has replaced (their ack.json stays)."""
    state, notes, acks = State(args.state), [], State(args.state).folder / "acknowledged"
    for path in sorted(Path(args.out).glob("*/manifest.json")):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest.get("run") == path.parent.name and datetime.fromisoformat(manifest["expires_at"]) <= args.now:
            shutil.rmtree(path.parent)
            notes.append(f"{path.parent}: expired on {manifest['expires_at'][:10]}, deleted")
    for folder in sorted(acks.glob("*")):
        for path in sorted(folder.glob("[0-9]*/*.parquet")):
            newest = state.last_ack(folder.name, path.stem)
            if newest and newest["run"] != path.parent.name:
                path.unlink()
                notes.append(
                    f"{folder.name}/{path.stem}: the snapshot of {path.parent.name} is replaced by {newest['run']}, deleted"
                )
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
    lines, deliveries = [], result.get("manifest", {}).get("deliveries", {})
    if deliveries:
        audiences = [
            (name, audience, node)
            for name, record in deliveries.items()
            for audience, node in record["audiences"].items()
        ]
        reasons = [reason for reason in rows.REASONS if any(reason in node["reasons"] for _, _, node in audiences)]
        changes = [c for c in ("added", "changed", "removed") if any(c in node["changes"] for _, _, node in audiences)]
        table = [
            [
                "delivery",
                "audience",
                "people",
                *(f"- {reason.replace('_', ' ')}" for reason in reasons),
                "= written",
                *changes,
            ]
        ]
        table += [
            [
                name,
                audience,
                node["waterfall"]["in_audience"],
                *(node["reasons"].get(reason, 0) for reason in reasons),
                node["waterfall"]["written"],
                *(node["changes"].get(change, "") for change in changes),
            ]
            for name, audience, node in audiences
        ]
        table = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in table]
        widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
        lines += [
            "  ".join(
                cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))
            ).rstrip()
            for row in table
        ]
        lines.append("")
    lines += [f"not sent anywhere: {', '.join(result['not_sent_anywhere'])}"] if result.get("not_sent_anywhere") else []
    lines += (
        [f"note: {note}" for note in result.get("notes", [])]
        if result["status"] not in ("acknowledged", "purged")
        else result["notes"]
    )
    for hit in result.get("guards", []):
        lines.append(f"blocked by the guard '{hit['guard']}': {hit['message']}")
    if result["status"] == "blocked":
        guards = " ".join(f"--override {name}=off" for name in dict.fromkeys(hit["guard"] for hit in result["guards"]))
        lines.append(f"nothing was published; if this is right, run again with {guards} --reason 'why'")
    elif result["status"] == "published":
        lines.append(f"published {result['folder']}")
        if result["exit_code"] == QUARANTINED:
            lines.append(
                f"some values were withheld: {result['folder']}/quarantine.csv lists the people, fields and rules"
            )
    elif result["status"] not in ("acknowledged", "purged"):
        lines.append(result["status"])
    return "\n".join(lines)


def read_overrides(args):
    overrides = {}
    for item in args.override:
        guard, _, value = item.partition("=")
        try:
            overrides[guard] = value if value == "off" else float(value)
        except ValueError:
            raise Problem(USAGE, f"--override {item}: give a number or off, as in shrank=0.5") from None
        if guard not in GUARDS:
            raise Problem(USAGE, f"--override {item}: the guards are {', '.join(GUARDS)}")
    if overrides and not (args.reason or "").strip():
        raise Problem(USAGE, "--override needs --reason 'why': it is recorded in the manifest")
    return overrides


def moment(text):
    value = datetime.fromisoformat(text)
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)


def parser():
    main = argparse.ArgumentParser(
        prog="export_audiences.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = main.add_subparsers(dest="command", metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--out", default="exports", metavar="FOLDER", help="where runs are (default: %(default)s)")
    common.add_argument(
        "--state",
        default=os.environ.get("LIFECYCLE_STATE", "state"),
        metavar="FOLDER",
        help="what was published and acknowledged (default: $LIFECYCLE_STATE or state)",
    )
    common.add_argument("--json", action="store_true", help="print one JSON document, for machines")
    common.add_argument(
        "--now", type=moment, default=datetime.now(UTC), metavar="ISO", help="the time to use instead of the clock's"
    )
    export = commands.add_parser(
        "run",
        parents=[common],
        help="write the audiences (the default command)",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    export.add_argument(
        "--destination",
        action="append",
        default=[],
        metavar="NAME",
        help="only this delivery of the config; repeat for more",
    )
    export.add_argument(
        "--mode", choices=MODES, help="full lists, or changes since the acknowledged delivery (default: as configured)"
    )
    export.add_argument(
        "--from",
        dest="source",
        metavar="PATH",
        help="published DuckDB file, or folder of <mart>.parquet "
        "(default: $LIFECYCLE_PUBLISHED or published/customer_lifecycle.duckdb)",
        default=os.environ.get("LIFECYCLE_PUBLISHED", "published/customer_lifecycle.duckdb"),
    )
    export.add_argument("--config", default="destinations.yml", metavar="FILE", help="(default: %(default)s)")
    export.add_argument(
        "--dry-run", action="store_true", help="run every check, leave nothing behind, return the same code"
    )
    export.add_argument(
        "--spreadsheet-safe",
        action="store_true",
        help="put ' before text that a spreadsheet would run, instead of withholding it",
    )
    export.add_argument(
        "--override",
        action="append",
        default=[],
        metavar="GUARD=VALUE",
        help=f"for this run: a threshold or off. Guards: {', '.join(GUARDS)}",
    )
    export.add_argument("--reason", metavar="TEXT", help="why; needed with --override, recorded in the manifest")
    taken = commands.add_parser("ack", parents=[common], help="say that a run arrived: deltas start from it")
    taken.add_argument("run", metavar="RUN", help="the run's folder name")
    taken.add_argument(
        "--destination", action="append", default=[], metavar="NAME", help="only this delivery; repeat for more"
    )
    commands.add_parser("purge", parents=[common], help="delete expired runs and replaced snapshots")
    return main


def main(argv=None):
    """Run one command. Returns the exit code. Errors are one line on standard error and never hold personal data."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] not in ("run", "ack", "purge", "-h", "--help"):
        argv.insert(0, "run")
    args = parser().parse_args(argv)
    os.umask(0o077)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        result = {"run": run, "ack": ack, "purge": purge}[args.command](args)
    except Problem as error:
        result = {"status": "error", "exit_code": error.code, "message": str(error)}
    except (OSError, duckdb.Error, MemoryError, ValueError, KeyError, TypeError) as error:
        result = {"status": "error", "exit_code": UNEXPECTED, "message": explain(error)}
    if args.json:
        print(json.dumps(result, indent=2, ensure_ascii=False, default=str))
    elif result["status"] == "error":
        print(f"error: {result['message']}", file=sys.stderr)
    else:
        print(report(result), file=sys.stderr if result["exit_code"] in (UNEXPECTED, GUARD) else sys.stdout)
    return result["exit_code"]


def explain(error):
    """One sentence about an unexpected error. DuckDB quotes values in its messages: only the kind may be told."""
    full = ("No space left", "File too large", "disk full", "max_temp_directory_size")
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT) or any(
        text in str(error) for text in full
    ):
        return "the disk is full (or a size limit is reached); nothing was published; make room and run again"
    frame = error.__traceback__
    while frame.tb_next:
        frame = frame.tb_next
    where = f"{Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}"
    kind = f"{type(error).__name__}{f' {errno.errorcode.get(error.errno)}' if getattr(error, 'errno', None) else ''}"
    return f"unexpected {kind} at {where}; nothing was published; details are withheld, since they may be personal"


if __name__ == "__main__":
    sys.exit(main())
