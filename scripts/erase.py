#!/usr/bin/env python3
"""Erase a person: by an id, or by an address that is theirs alone. Nothing that it prints names anybody.

An erasure is state: one file per request in LIFECYCLE_STATE/erasures, with keyed hashes of the person's ids and addresses and
what stands in their place from now on. The next build replaces them in whatever raw data still holds. This script also
takes the person out of the rest of the state and withdraws every run of the exporter that nobody acknowledged. An address
of several people is blocked, and erases nobody until one of them is named by --id.

  erase.py --id X | --email X | --phone X [--request R] [--received DAY]
  erase.py lift --email X | --phone X --request R     an address may be used again
  erase.py --from-build                               record whom the raw data of the last build erases
  erase.py receipts                                   bring open receipts up to date, and name what is open

X may be `-`: it is read from standard input then, and stands in no history and no list of processes.

Exit codes: 0 done, or done before, 1 unexpected, 2 usage, 3 the warehouse was never built, or not green,
75 busy: another run is at work, try again.
"""

import argparse
import json
import os
import re
import sys
from contextlib import ExitStack, contextmanager
from datetime import date, datetime, time
from pathlib import Path

from common import USAGE, Problem, private, quoted, run_script
from erasure_receipts import Receipts
from erasure_state import Cleaning, Erasures, moment, stamp
from keyed_hash import hashed
from publish import add_schema, only_one
from publish_noes import noes_of


@contextmanager
def at_work(options):
    """(Erasures, Cleaning) under the locks of all that writes the state."""
    private()
    state = Path(options.state)
    with ExitStack() as stack:
        for name, folder in (("erase", state / "erasures"), ("record", state / "audience_events")):
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(only_one(folder, name))
            for left in folder.glob(".*.partial"):
                left.unlink()
        erasures = Erasures(state)
        stack.callback(erasures.con.close)
        cleaning = Cleaning(erasures, state, options.out)
        stack.enter_context(cleaning.state.lock(cleaning.names()))
        yield erasures, cleaning


def finish(erasures, cleaning, options, news):
    """Do what follows from the state; a killed run's rest, too. Returns what the receipts say is open."""
    receipts = Receipts(erasures, cleaning, options)
    receipts.begin()
    if news or receipts.unfinished():
        cleaning.clean(everything=True)
        noes_of(Path(options.published)).unlink(missing_ok=True)
    else:
        cleaning.clean(everything=False)
    return receipts.bring_up_to_date()


# ---- commands ----


def erase(options):
    with at_work(options) as (erasures, cleaning):
        erasures.attach(options.warehouse)
        kind, text = given(options)
        request, received, now = options.request or f"E{stamp()}", options.received or moment(), moment()
        people, found = ({erasures.by_id(text)}, ()) if kind == "id" else erasures.by_address(kind, text)
        new = old = None
        if len(people) == 1:
            new, old, rows = erasures.of_person(*people)
            where, values = "person_id = ?", [new]
        else:
            hashes, rows = erasures.of_addresses(kind, found)
            where, values = "kind = ? and list_contains(?, key_hash)", [kind, [key_hash for _, key_hash in hashes]]
        said = {0: "nobody in the last build has this address; it is blocked", 1: "erased"}.get(
            len(people), f"{len(people)} people share this address: it is blocked, and nobody is erased; say who by --id"
        )
        if rows:
            erasures.write(request, "erased", rows, new, old, received, now)
            counts = [sum(row[0] == name for row in rows) for name in ("record", "email", "phone")]
            said = f"{request}: {said} ({counts[0]} records, {counts[1]} e-mail addresses, {counts[2]} phone numbers)"
        else:
            before, day, is_person = erasures.since(where, values)
            said = f"{before}: nothing new: {'erased' if is_person else said}, since {day}"
        finish(erasures, cleaning, options, rows)
    print(said + (f"; {len(cleaning.withdrawn)} runs of the exporter withdrawn" if cleaning.withdrawn else ""))
    if rows:
        print("until the next `make daily` the warehouse and what is published still hold the person")


def lift(options):
    kind, text = given(options)
    if kind == "id" or not options.request:
        raise Problem(USAGE, "lift: give --email or --phone, and the --request that asks for it")
    with at_work(options) as (erasures, _):
        erasures.attach(options.warehouse)
        hashes, _ = erasures.of_addresses(kind, erasures.by_address(kind, text)[1])
        rows = [row for row in erasures.ask("select kind, key_hash, pseudonym from in_force") if row[:2] in hashes]
        if rows:
            erasures.write(options.request, "lifted", rows, None, None, moment(), moment())
            said = f"{options.request}: the address is no longer blocked; what was erased stays erased"
        elif {*erasures.ask("select kind, key_hash from known")} & {*hashes}:
            said = "nothing new: it was lifted before"
        else:
            raise Problem(USAGE, "lift: this address is not blocked by an erasure")
    print(said)


def from_build(options):
    """Record whom raw data erases, so that it is known after its rows there are gone."""
    with at_work(options) as (erasures, cleaning):
        erasures.attach(options.warehouse, options.schema)
        settings = f'warehouse."{options.schema}".build_settings'
        ((day, zone),) = erasures.ask(f"select as_of_date, business_time_zone from {settings}")
        # the marts' times are wall clock, the state's are UTC
        erasures.con.execute(f"create temp macro utc(moment) as timezone('UTC', timezone({quoted(zone)}, moment))")
        people = erasures.ask(
            f"""select person_id, utc(erased_at), year(erased_at) > 1 from warehouse.intermediate.int_erased_people where person_id not in (
                select person_id from known where person_id is not null) and {hashed("person_id")} not in (
                select old_person_id_hash from known where old_person_id_hash is not null) order by erased_at, person_id"""
        )
        taken = {name for (name,) in erasures.ask("select distinct request from known")}
        free = (name for n in range(1, 10**9) if (name := f"raw-{day}-{n}") not in taken)
        ((midnight,),) = erasures.ask("select utc($1::timestamp)", [day])
        for person_id, erased_at, is_dated in people:
            since = erased_at if is_dated else midnight  # the data may not say when
            new, old, rows = erasures.of_person(person_id)
            erasures.write(next(free), "erased", rows, new, old, since, since)
        nobodys = erasures.asked_for()  # by an address of several people, or of nobody
        if nobodys:
            erasures.write(next(free), "erased", nobodys, None, None, midnight, midnight)
        recorded = len(people) + bool(nobodys)
        finish(erasures, cleaning, options, recorded)
    if options.json:
        print(json.dumps({"recorded": recorded}))
    else:
        again = "; build again, so that nothing holds them any more" if recorded else ""
        print(f"{recorded} erasures of the raw data recorded{again}")


def receipts(options):
    if not any((Path(options.state) / "erasures").glob("*.parquet")):
        print("nobody is erased")
        return
    with at_work(options) as (erasures, cleaning):
        for line in finish(erasures, cleaning, options, ()) or ["no erasure is open"]:
            print(line)


def given(options):
    """(id, email or phone; the value)."""
    kind, text = next((kind, value) for kind in ("id", "email", "phone") if (value := getattr(options, kind)) is not None)
    text = (sys.stdin.readline() if text == "-" else text).strip()
    if not text:
        raise Problem(USAGE, f"--{kind}: nothing was given")
    return kind, text


def request_id(text):
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", text) or text.startswith("."):
        raise argparse.ArgumentTypeError("1 to 64 letters, digits, _ . -")
    return text


def day(text):
    return datetime.combine(date.fromisoformat(text), time())


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", nargs="?", choices=["lift", "receipts"])
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--id", metavar="X", help="person_id, an id of a source, or that with its system as shop:customer:17")
    who.add_argument("--email", metavar="X")
    who.add_argument("--phone", metavar="X")
    who.add_argument("--from-build", action="store_true", help="record whom the raw data of the last build erases")
    parser.add_argument("--request", type=request_id, help="the id of the request (default: made)")
    parser.add_argument("--received", type=day, metavar="YYYY-MM-DD", help="when it came (default: now); it is due 30 days later")
    parser.add_argument("--json", action="store_true", help="with --from-build: how many, as JSON")
    parser.add_argument("--out", default="exports", help="where the runs of the exporter are (default: %(default)s)")
    parser.add_argument("--warehouse", type=Path, default=os.environ.get("LIFECYCLE_WAREHOUSE", "warehouse/lifecycle.duckdb"))
    parser.add_argument("--state", type=Path, default=os.environ.get("LIFECYCLE_STATE", "state"))
    parser.add_argument(
        "--published", type=Path, default=os.environ.get("LIFECYCLE_PUBLISHED", "published/customer_lifecycle.duckdb")
    )
    add_schema(parser)
    options = parser.parse_args(arguments)
    named = any(getattr(options, kind) is not None for kind in ("id", "email", "phone"))
    if named == (options.command == "receipts" or options.from_build):
        parser.error("give one of --id, --email, --phone, --from-build, or `receipts`")
    work = {"lift": lift, "receipts": receipts}.get(options.command, from_build if options.from_build else erase)
    return run_script("erase", lambda: work(options), warehouse=options.warehouse, state=options.state, exports=options.out)


if __name__ == "__main__":
    sys.exit(main())
