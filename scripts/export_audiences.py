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
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from audience_export import explain as explaining
from audience_export import files, rows
from audience_export.config import CONTRACT, GUARD, GUARDS, MODES, OK, QUARANTINED, UNEXPECTED, USAGE, Problem, load
from audience_export.run import REASONS, Run, connect
from audience_export.state import RUN, State, locked, node_of, read_manifest
from common import explained, private, sync, temporary_folder

STAMP = "%Y%m%dT%H%M%SZ"
STATE = os.environ.get("LIFECYCLE_STATE", "state")


# ---- one run ----

def run(args):
    """Export. Returns the result as a dict with `exit_code`; see the module docstring."""
    overrides = read_overrides(args)
    config = load(args.config, args.destination, args.mode)
    deliveries, named, settings = config.deliveries, config.audiences, config.settings
    state, out, source = State(args.state or STATE), Path(args.out), Path(args.source)
    with ExitStack() as stack:
        former = former_deliveries(state, config, args)
        stack.enter_context(state.lock([delivery.name for delivery in deliveries + former], create=not args.dry_run))
        if args.dry_run:
            state = rehearsal(stack, state, out)
        run_id, staging = stage(stack, out, args.now, args.dry_run)
        scratch = staging / ".scratch"
        scratch.mkdir()
        con = stack.enter_context(connect(source, scratch))
        notes = state.catch_up(out, args.now, deliveries, args.dry_run)
        this = Run(con, state, scratch, run_id, args.now, args.spreadsheet_safe, overrides, {delivery.name for delivery in former})
        if this.only_noes is not args.noes_only:
            raise Problem(CONTRACT, f"{source}: " + ("these marts know only who said no; give --noes-only, or the published marts"
                                                     if this.only_noes else "--noes-only wants what publish_noes.py writes"))
        this.notes += notes
        this.notes += [f"{run_id_}: published, but not acknowledged ({', '.join(names)}); say `ack {run_id_}` once it is imported"
                       for run_id_, names in state.ledger.unacknowledged().items()]
        progress, records = Progress(len(deliveries) * len(this.members), args.json), {}
        for delivery in deliveries + former if not args.noes_only else ():
            records[delivery.name] = this.delivery(delivery, staging / delivery.name, progress)
        progress.done()
        if this.hits or args.noes_only:
            for name in records:
                shutil.rmtree(staging / name)
            records = {delivery.name: this.noes(delivery, staging / delivery.name, progress) for delivery in deliveries + former}
        manifest = {
            "format": 2, "run": run_id, "created_at": args.now.isoformat(), "as_of_date": this.as_of,
            "expires_at": (args.now + timedelta(days=settings.get("expires_after_days", 7))).isoformat(),
            "source": source.name, "state": os.path.relpath(state.root.resolve(), (out / run_id).resolve()),
            "overrides": {**overrides, "reason": args.reason} if overrides else None,
            "not_sent_anywhere": this.unsent(named, records, args.destination) if not this.hits and not args.noes_only else [],
            "notes": this.notes, "deliveries": records}
        result = {"status": "blocked" if this.hits else "published", "exit_code": GUARD if this.hits else OK, "run": run_id,
                  "folder": str(out / run_id), "notes": this.notes, "guards": this.hits, "manifest": manifest}
        for name in [name for name, record in records.items() if record is None or this.unchanged(record)]:
            shutil.rmtree(staging / name)
            del records[name]
            if not this.hits and name not in this.former and not args.noes_only:
                this.notes.append(f"{name}: nothing changed since the acknowledged delivery")
        if not records:
            if not args.dry_run:  # what need not be known any more goes on a quiet day, too
                tidy(con, state.ledger, this, scratch)
            return {**result, "folder": None} if this.hits else {**result, "status": "nothing changed"}
        if not this.hits and any(a["quarantined"] for record in records.values() for a in record["audiences"].values()):
            result["exit_code"] = QUARANTINED
        # Beside the deliveries, not in them: people and rules are for the marketer, not for the ESP.
        con.execute(f"copy (from quarantine order by all) to {rows.literal(staging / 'quarantine.csv')} (header)")
        files.seal(staging / "quarantine.csv")
        if args.dry_run:
            return {**result, "status": "dry run: nothing was written" if not this.hits else "blocked", "folder": None}
        tidy(con, state.ledger, this, scratch)
        con.close()
        publish(out, staging, scratch, state, args, deliveries, result)
        return result


def publish(out, staging, scratch, state, args, deliveries, result):  # noqa: PLR0917
    """Make the run visible, in the ledger first (R3), and do what follows."""
    manifest, target = result["manifest"], out / result["run"]
    nodes = {name: node_of(record, manifest, record.pop("parts"), str(Path(args.config).resolve()))
             for name, record in manifest["deliveries"].items()}
    state.ledger.take(scratch, [part for node in nodes.values() for part in node["parts"]])
    shutil.rmtree(scratch)
    files.write_json(staging / "manifest.json", manifest)
    state.ledger.append({"event": "published", "run": result["run"], "overrides": manifest["overrides"], "deliveries": nodes})
    os.rename(staging, target)
    try:
        sync(out)
        after_publishing(out, state, manifest, deliveries, result)
    except Exception as error:
        why = explained(error, places(args))
        raise Problem(UNEXPECTED, f"{why}; {target} is published and recorded, but not all that follows was done: it is "
                                  "not handed over, or not acknowledged") from None
    state.ledger.sweep()


def tidy(con, ledger, this, scratch):
    """Forget what need not be known any more, before the run is published: an interrupted one leaves all as it was."""
    for name, found in this.forgettable.items():
        if found:
            con.execute("create or replace temp table forgettable as select unnest(?::blob[]) as value", [[row[0] for row in found]])
            ledger.forget(con, name, "forgettable", scratch)
        ledger.merge(con, name, scratch)


def former_deliveries(state, config, args):
    """Deliveries that the ledger knows from this file of deliveries, which no longer has them: they get last removals."""
    if args.destination:
        return []
    found, moved = [], {delivery.given.get("renamed_from") for delivery in config.deliveries}
    for name in dict.fromkeys(entry.name for entry in state.ledger.entries):
        node = state.ledger.of(name)[-1].node
        if name not in config.names | moved and node["config"] == str(Path(args.config).resolve()):
            found.append(config.former(name, {**node["given"], "audiences": []}))
    return found


def rehearsal(stack, state, out):
    """A copy of the state's ledger for a dry run, which leaves nothing behind."""
    near = next(path for path in [out, *out.resolve().parents] if path.is_dir())
    copy = State(stack.enter_context(temporary_folder(".dry_state_", near)))
    for name in ("key", "key.check"):
        if (state.root / name).exists():
            shutil.copyfile(state.root / name, copy.root / name)
    for name in ("deliveries/ledger", "deliveries/acknowledged", "deliveries/published"):
        if (state.root / name).is_dir():
            shutil.copytree(state.root / name, copy.root / name)
    copy.ledger.read()
    return copy


def after_publishing(out, state, manifest, deliveries, result):
    """Hand over what was published, acknowledge what arrived."""
    run_id, records = manifest["run"], manifest["deliveries"]
    for delivery in deliveries:
        if delivery.name in records and "command" in delivery.given:
            code, log = hand_over(delivery, state, out / run_id, run_id)
            result.setdefault("commands", {})[delivery.name] = code
            if code == 0:
                state.acknowledge(out, run_id, delivery.name)
            else:
                result["exit_code"] = UNEXPECTED
                result["notes"].append(f"{delivery.name}: its command ended with {code}, so the run is published but "
                                       f"not acknowledged; what it said is in {log}")
    if state.quarantine(run_id).exists():
        result["quarantine"] = str(state.quarantine(run_id))


def places(args):
    return {"published": getattr(args, "source", None), "exports": args.out, "state": args.state or STATE}


def check_folders(args):
    """Problem 2 unless --out and --state are folders, or can become such."""
    for option, path in (("--out", Path(args.out)), ("--state", Path(args.state or STATE))):
        near = next(place for place in [path, *path.absolute().parents] if place.exists())
        if not near.is_dir():
            raise Problem(USAGE, f"{option} {path}: {near} is a file; give a folder")


def stage(stack, out, now, dry_run):
    """Reserve a run id and a hidden staging folder, which goes unless it is renamed; a killed run's goes first."""
    if dry_run:
        near = next(path for path in [out, *out.resolve().parents] if path.is_dir())
        return now.strftime(STAMP), stack.enter_context(temporary_folder(".dry_run_", near))
    out.mkdir(parents=True, exist_ok=True)
    for path in [*out.glob(".staging-*"), *out.glob(".gone-*")]:
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

def ack(args):
    """Acknowledge the deliveries of a run, or close by hand what an identifier waits for."""
    if bool(args.run) == bool(args.told):
        raise Problem(USAGE, "ack: give a RUN, or --told KEY")
    if args.refused and len(args.destination) != 1:
        raise Problem(USAGE, "--refused: rows are refused by one destination; name it with --destination")
    state = State(args.state or STATE)
    if args.told:
        with state.lock({entry.name for entry in state.ledger.entries}):
            return {"status": "told", "exit_code": OK, "notes": [state.told(args.told, args.destination)]}
    folder = Path(args.out) / args.run
    manifest = read_manifest(folder) if RUN.fullmatch(args.run) else None
    if manifest and args.run not in {entry.run for entry in state.ledger.entries} and manifest.get("state"):
        its = (folder / manifest["state"]).resolve()
        if (its / "deliveries" / "ledger").is_dir():
            state = State(its)  # the one that the run was made with
    names = args.destination or list(dict.fromkeys(entry.name for entry in state.ledger.entries if entry.run == args.run)) \
        or list(manifest["deliveries"] if manifest else ["run"])
    with state.lock(names, create=bool(manifest or state.ledger.entries)):
        if manifest and args.run not in {entry.run for entry in state.ledger.entries}:
            state.adopt(args.out, [])
        notes = [state.acknowledge(args.out, args.run, name, args.refused) for name in names]
    return {"status": "acknowledged", "exit_code": OK, "run": args.run, "notes": notes}


def purge(args):
    """Delete expired runs."""
    state = State(args.state or STATE)
    with state.lock({entry.name for entry in state.ledger.entries}):
        notes = state.expire(args.out, args.now)
        state.ledger.sweep()
    return {"status": "purged", "exit_code": OK, "notes": notes or ["nothing has expired"]}


def explain(args):
    """Say of one person why they are written, or not."""
    who = sys.stdin.readline() if args.who == "-" else args.who
    source = Path(args.source)
    with temporary_folder("lifecycle_export_") as scratch, connect(source, Path(scratch)) as con:
        found = explaining.explain(con, State(args.state or STATE), who.strip())
    return {"status": "explained", "exit_code": OK, **found}


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
    if result["status"] == "explained":
        return explaining.report(result)
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
        lines.append((f"published {result['folder']} with only those who said no" if result["folder"] else "nothing was published")
                     + "; if this is right, run again with "
                     + " ".join(f"--override {name}=off" for name in names) + " --reason 'why'")
    elif status == "published":
        lines.append(f"published {result['folder']}")
        if result["exit_code"] == QUARANTINED:
            place = result.get("quarantine") or f"{result['folder']}/quarantine.csv"
            lines.append(f"values were withheld: {place} lists people, fields and rules")
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
    common.add_argument("--state", metavar="FOLDER", help="what destinations hold (default: $LIFECYCLE_STATE or state; ack "
                                                          "finds the one that the run was made with)")
    common.add_argument("--json", action="store_true", help="print one JSON document, for machines")
    common.add_argument("--now", type=moment, default=datetime.now(UTC), metavar="ISO", help="instead of the clock")
    one = {"action": "append", "default": [], "metavar": "NAME", "help": "only this delivery; repeat for more"}
    marts = argparse.ArgumentParser(add_help=False)
    marts.add_argument("--from", dest="source", metavar="PATH", help="published DuckDB file, or folder of "
                       "<mart>.parquet (default: $LIFECYCLE_PUBLISHED or published/customer_lifecycle.duckdb)",
                       default=os.environ.get("LIFECYCLE_PUBLISHED", "published/customer_lifecycle.duckdb"))
    export = commands.add_parser("run", parents=[common, marts], help="write the audiences (the default command)",
                                 description=__doc__, formatter_class=raw)
    export.add_argument("--destination", **one)
    export.add_argument("--mode", choices=MODES,
                        help="full lists, or changes since the acknowledged delivery (default: as configured)")
    export.add_argument("--config", default="destinations.yml", metavar="FILE", help="(default: %(default)s)")
    export.add_argument("--noes-only", action="store_true", help="write only who said no, and their removals, from the file of "
                        "publish_noes.py: when the marts must not be published")
    export.add_argument("--dry-run", action="store_true", help="run every check, leave nothing behind, same exit code")
    export.add_argument("--spreadsheet-safe", action="store_true",
                        help="put ' before text that a spreadsheet would run, instead of withholding it")
    export.add_argument("--override", action="append", default=[], metavar="GUARD=VALUE",
                        help=f"for this run: a threshold or off. Guards: {', '.join(GUARDS)}")
    export.add_argument("--reason", metavar="TEXT", help="why; needed with --override, recorded in the manifest")
    taken = commands.add_parser("ack", parents=[common], help="say that a run arrived: deltas start from it")
    taken.add_argument("run", metavar="RUN", nargs="?", help="the run's folder name")
    taken.add_argument("--destination", **one)
    taken.add_argument("--refused", metavar="FILE", help="what the importer did not take: one identifier a line, or the rows "
                       "with their header")
    taken.add_argument("--told", metavar="KEY", help="an identifier, as written, whose erasure or removal you saw to by hand")
    commands.add_parser("purge", parents=[common], help="delete expired runs")
    why = commands.add_parser("explain", parents=[common, marts], help="say of one person in which audiences they are and why, what "
                              "decides whether they are contacted, and what destinations were told")
    why.add_argument("who", metavar="PERSON", help="a person_id, primary_customer_id, app_user_id, e-mail address or phone; - reads it "
                     "from standard input, so that no history of commands keeps it")
    return main


def main(argv=None):
    """Run one command. Returns the exit code. An error is one line on standard error, never with personal data."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] not in ("run", "ack", "purge", "explain", "-h", "--help"):
        argv.insert(0, "run")
    args = parser().parse_args(argv)
    private()
    stopped = []

    def stop(number, _):
        stopped.append(128 + number)
        sys.exit(stopped[0])

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        check_folders(args)
        result = {"run": run, "ack": ack, "purge": purge, "explain": explain}[args.command](args)
        text = json.dumps(result, indent=2, ensure_ascii=False, default=str) if args.json else report(result)
    except Exception as error:
        if stopped:  # within a query DuckDB makes an error of its own out of the exit
            sys.exit(stopped[0])
        problem = explained(error, places(args))
        half = "" if problem is error else "; no run is half published"
        result = {"status": "error", "exit_code": problem.code, "message": f"{problem}{half}"}
    if result["status"] == "error":
        text = json.dumps(result) if args.json else f"error: {result['message']}"
    wrong = result["exit_code"] not in (OK, QUARANTINED)
    print(text, file=sys.stderr if wrong and not args.json else sys.stdout)
    return result["exit_code"]


if __name__ == "__main__":
    sys.exit(main())
