"""What the morning after costs: a build of which only the last day of events and messages is new, and the same with ten times the events.

    python benchmarks/day.py [--customers 20000] [--times 1 10] [--folder DIR]

The demo's events and messages are laid in a file per month and the last day in one of its own; the build without that day is made
first and not counted. More events are the same ones under other ids. Prints one JSON object per multiple: {"times", "events", "full",
"day"}, CPU seconds of whole builds with their data tests.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import duckdb

from build import measure
from measuring import AS_OF, raw_data

TABLES = {"app/events": "occurred_at", "esp/messages": "sent_at"}


def lay_out(source, raw, times):
    """Copy raw data, with a file per month of its events and messages and one of its last day. Returns ({its files: where they go}, events)."""
    shutil.rmtree(raw, ignore_errors=True)
    shutil.copytree(source, raw)
    late, count = {}, 0
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        for table, moment in TABLES.items():
            (raw / f"{table}.parquet").unlink()
            (raw / table).mkdir()
            rows = f"'{source / table}.parquet'"
            if table == "app/events":
                rows = f"(select * replace (if(n = 0, event_id, event_id || '-' || n) as event_id) from {rows}, range({times}) as more(n))"
                count = con.execute(f"select count(*) from {rows}").fetchone()[0]
            for (month,) in con.execute(f"select distinct strftime({moment}, '%Y-%m') from {rows} where {moment} < '{AS_OF}'").fetchall():
                con.execute(f"copy (from {rows} where {moment} < '{AS_OF}' and strftime({moment}, '%Y-%m') = '{month}') to '{raw / table / month}.parquet'")
            late[raw / f"{table.replace('/', '_')}.late"] = raw / table / f"{AS_OF}.parquet"
            con.execute(f"copy (from {rows} where {moment} is null or {moment} >= '{AS_OF}') to '{[*late][-1]}' (format parquet)")
    return late, count


def days(folder, customers, times):
    """What is printed of one multiple."""
    name = f"{customers}_days_{times}"
    raw = folder / f"raw_{name}"
    late, events = lay_out(raw_data(folder, customers), raw, times)
    shutil.copytree(folder / f"state_{customers}", folder / f"state_{name}", dirs_exist_ok=True)
    (folder / f"{name}.duckdb").unlink(missing_ok=True)
    full = measure(folder, raw, name)
    for path, place in late.items():
        path.rename(place)
    day = measure(folder, raw, name)
    if not (full["ok"] and day["ok"]):
        sys.exit("benchmark: a build was not green")
    return {"times": times, "events": events, "full": full["total"], "day": day["total"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        for times in options.times:
            print(json.dumps(days(folder, options.customers, times)), flush=True)


if __name__ == "__main__":
    main()
