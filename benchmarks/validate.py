"""Time the raw checks on 10 M orders against one DuckDB scan of the same columns, each in a process of its own.

Prints seconds of the scan, of the start-up (checks of a one-row file), of the checks, their ratio, and peak memory.
The scan reads every value once, which only hashing makes sure of: for sums and extremes DuckDB may ask the statistics.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import duckdb

from measuring import ROOT, spent

ORDERS = """
select 'o' || i as order_id, 'c' || hash(i) % 1_000_000 as customer_id,
    timestamp '2026-06-30 23:00:00' - to_seconds(9 * i) as ordered_at,
    ['paid', 'shipped', 'delivered', 'cancelled'][1 + (hash(i, 2) % 4)::int] as status,
    ['EUR', 'USD', 'GBP'][1 + (hash(i, 3) % 3)::int] as currency,
    ((hash(i, 4) % 50_000) / 100)::decimal(18, 2) as amount
from range({rows}) as t(i)
"""


def measure(*command):
    """(seconds, processor seconds, peak memory in GB) of a command."""
    cost = spent([sys.executable, *command])
    return cost["wall"], cost["cpu"], cost["gigabytes"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as scratch:
        times = {}
        for name, count in (("start", 1), ("checks", rows)):
            folder = Path(scratch) / name
            folder.mkdir()
            duckdb.execute(f"copy ({ORDERS.format(rows=count)}) to '{folder}/orders.parquet'")
            arguments = ["--raw", folder, "--state", folder / "state", "--html", folder / "page.html"]
            arguments += ["--sources", "orders_file", "--as-of", "2026-07-01"]
            times[name] = measure(ROOT / "scripts" / "validate_raw.py", *arguments)
        scan = f"import duckdb; duckdb.execute(\"select bit_xor(hash(columns(*))) from '{folder}/orders.parquet'\").fetchall()"
        times["scan"], times["empty"] = measure("-c", scan), measure("-c", "import duckdb; duckdb.execute('select 1')")
    for clock, name in enumerate(("seconds", "processor seconds, which other work on the machine does not change")):
        once = times["scan"][clock] - times["empty"][clock]
        checks = times["checks"][clock] - times["start"][clock]
        print(
            f"{name}:\n  one scan of {rows:,} orders  {once:6.2f}\n  start-up of the checks      {times['start'][clock]:6.2f}"
        )
        print(f"  checks beyond start-up      {checks:6.2f} = {checks / once:.1f} scans")
    print(f"peak memory of the checks: {times['checks'][2]:.2f} GB")


if __name__ == "__main__":
    main()
