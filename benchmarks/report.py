"""How much the report costs: making it for 1,000,000 people against reading the customers of the same file once.

Takes a published file (the demo's) and makes a larger one of it: every person many times over in the marts with a row per
person that the report counts, so that there are so many people; the counts and amounts of the marts about groups
multiplied alike, but for two hundred times as many locations instead; and ten more years of daily metrics. Both sides
are whole processes in one run, the best of three. Prints seconds, CPU, peak memory and the size of the page.
`python benchmarks/report.py [--from published/customer_lifecycle.duckdb] [--people 1000000]`. Exit code 1 when a bound (4 seconds, 300 kB) is missed.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import duckdb

from export import measure  # another benchmark: (seconds, peak MB, printed lines, CPU seconds) of a command

ROOT = Path(__file__).resolve().parents[1]
NUMBERS = ("BIGINT", "HUGEINT", "DECIMAL(18,4)")
UNCHANGED = {"stage_thresholds", "return_curve", "build_settings", "location_cohorts", "active_day_histogram"}
COUNTED = ("customers", "customer_campaign_facts", "comebacks", "customer_habits", "subscriptions")  # marts with a row per person
READ = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=True)
print(connection.execute("select count(*), bit_xor(hash(customers)) from marts.customers").fetchone())
"""


def enlarge(published, large, people):
    """Write a published file of so many people; other marts with a row per person than those counted are left out."""
    shutil.copy(published, large)
    with duckdb.connect(str(large)) as connection:
        connection.execute("use marts")
        columns = connection.execute(
            "select table_name, column_name, data_type from information_schema.columns where table_schema = 'marts'"
        ).fetchall()
        personal = {table for table, column, _ in columns if column in ("person_id", "address")}
        for table in personal - {*COUNTED}:
            connection.execute(f"drop table {table}")
        (users,) = connection.execute("select count(*) from customers").fetchone()
        times = -(-people // users)
        for table in {table for table, *_ in columns} - personal - UNCHANGED:
            larger = [name for of, name, kind in columns if of == table and kind in NUMBERS and name != "days_behind"]
            if larger:
                sets = ", ".join(f"{name} = {name} * {times}" for name in larger)
                connection.execute(f"update {table} set {sets}")
        for table in personal & {*COUNTED}:
            connection.execute(f"""create or replace table {table} as
                select {table}.* replace (md5(person_id || copy) as person_id) from {table}, range({times}) copies (copy)""")
        connection.execute("""
            insert into location_cohorts
                select location_cohorts.* replace (default_location || ' ' || copy as default_location)
                from location_cohorts, range(200) copies (copy) where default_location not in ('other', 'unknown');
            insert into lifecycle_metrics
                select lifecycle_metrics.* replace (cast(first_day - 1 - cast(day_number as integer) as date) as metric_date)
                from lifecycle_metrics, (select min(metric_date) as first_day from lifecycle_metrics), range(3650) days (day_number)
                where metric_date = first_day;
        """)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--from", dest="published", type=Path, default=ROOT / "published" / "customer_lifecycle.duckdb")
    options.add_argument("--people", type=int, default=1_000_000)
    options.add_argument("--repeat", type=int, default=3)
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large, page = folder / "large.duckdb", folder / "report.html"
        enlarge(args.published, large, args.people)
        read = [sys.executable, "-c", READ, str(large)]
        report = [sys.executable, str(ROOT / "scripts" / "report.py"), "--from", str(large), "--out", str(page)]
        pairs = [(measure(read, folder), measure(report, folder)) for _ in range(args.repeat)]
        reads, reports = zip(*pairs, strict=True)
        once, made = min(run[0] for run in reads), min(run[0] for run in reports)
        ratio, size = made / once, page.stat().st_size / 1000
    print(
        f"{args.people:,} people: reading the customers once {once:.2f} s, the report {made:.2f} s (bound 4), ratio {ratio:.2f}; "
        f"CPU {min(run[3] for run in reads):.2f} and {min(run[3] for run in reports):.2f} s; "
        f"peak memory {max(run[1] for run in reports):,.0f} MB; page {size:.0f} kB (bound 300)"
    )
    return int(made > 4 or size > 300)


if __name__ == "__main__":
    sys.exit(main())
