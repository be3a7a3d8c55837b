"""What eight marts cost that are written by hand (floor.sql), and whether their rows are those of the marts.

    python benchmarks/floor.py RAW [--marts WAREHOUSE] [--out FILE] [--memory 8GB]

Prints {"cpu", "gigabytes", "limit", "differing"} as JSON: CPU seconds of the floor, its peak memory, CPU seconds of the limit (a
scan of every column that the floor reads, and a rewrite of the eight tables), and how many rows of each mart differ on the floor's
columns. Exit code 1 if any do.
"""

import argparse
import json
import resource
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

import duckdb

from measuring import AS_OF, ROOT, THREADS, cpu

MARTS = ("orders", "customer_rfm", "customer_stage_history", "cohort_retention", "cohort_retention_30d", "growth_accounting",
         "lifecycle_metrics", "customers")  # fmt: skip
TABLES = ("shop/customers", "shop/orders", "shop/refunds", "app/users", "app/events", "esp/contacts", "esp/suppressions")


def write(raw, out, memory):
    """Run floor.sql into a new file. Returns its CPU seconds."""
    start = cpu()
    config = {"threads": THREADS, "memory_limit": memory, "preserve_insertion_order": "false", "temp_directory": f"{out}.tmp"}
    with duckdb.connect(str(out), config=config) as con:
        con.execute("set TimeZone = 'UTC'")
        text = (Path(__file__).with_suffix(".sql")).read_text(encoding="utf-8")
        for name, value in (("raw", raw), ("seeds", ROOT / "seeds"), ("next_day", date.fromisoformat(AS_OF) + timedelta(days=1))):
            text = text.replace(f"{{{name}}}", str(value))
        con.execute(text)
    return cpu() - start


def limit(raw, floor, out):
    """CPU seconds of reading every value of the inputs once and writing the outputs once."""
    start = cpu()
    with duckdb.connect(str(out), config={"threads": THREADS}) as con:
        for table in TABLES:
            source = f"read_parquet('{raw}/{table}.parquet')"
            con.execute(f"select bit_xor(hash(columns(*))) from {source}")
        con.execute(f"attach '{floor}' as floor (read_only)")
        for mart in MARTS:
            con.execute(f"create table {mart} as from floor.{mart}")
    return cpu() - start


def differing(floor, marts):
    """{mart: how many rows are in only one of the two}, on the floor's columns; doubles to nine digits."""
    found = {}
    with duckdb.connect() as con:
        con.execute(f"attach '{floor}' as floor (read_only); attach '{marts}' as built (read_only)")
        for mart in MARTS:
            kinds = {row[0]: row[1] for row in con.execute(f"describe floor.{mart}").fetchall()}
            columns = ", ".join(f'round("{c}", 9) as "{c}"' if kind == "DOUBLE" else f'"{c}"::varchar as "{c}"' for c, kind in kinds.items())
            sides = f"(select {columns} from floor.{mart})", f"(select {columns} from built.marts.{mart})"
            found[mart] = sum(con.execute(f"select count(*) from ({a} except all {b})").fetchone()[0] for a, b in (sides, sides[::-1]))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("raw", type=Path)
    parser.add_argument("--marts", type=Path, help="a built warehouse, whose rows are to be the same")
    parser.add_argument("--out", type=Path, help="keep the eight tables in this file")
    parser.add_argument("--memory", default="16GB", help="DuckDB's memory_limit")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = options.out or Path(folder) / "floor.duckdb"
        out.unlink(missing_ok=True)
        answer = {"cpu": write(options.raw, out, options.memory)}
        answer |= {"gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, "limit": limit(options.raw, out, Path(folder) / "limit.duckdb")}
        answer["differing"] = differing(out, options.marts) if options.marts else {}
    print(json.dumps(answer))
    if any(answer["differing"].values()):
        sys.exit(f"benchmark: the floor has other rows than the marts: {answer['differing']}")


if __name__ == "__main__":
    main()
