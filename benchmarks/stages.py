"""How long the marts of lifecycle in time take, against reading and aggregating the orders once per person.

    python benchmarks/stages.py [--customers 1000000] [--orders 5000000] [--folder DIR]

Everything is synthetic and lies in one folder (a temporary one unless named). The marts run in dbt, one at a time, from
a build of everything before them; their times are those of run_results.json. The yardstick is one DuckDB statement on as
many threads: read orders.parquet and write count, first, last and sum per customer to a table of a file of its own.
Both are repeated and the best of each counts. Writing the spells of the history to disk is a floor of its own, so it is
shown as well, and so is what the project itself takes to read the orders and aggregate them per person.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

PROJECT = Path(__file__).resolve().parents[1]
MARTS = ["customer_stage_history", "growth_accounting", "lifecycle_metrics"]
# how the project itself reads the orders and aggregates them per person, typed, deduplicated and converted
READING = ["base_orders_file__orders", "orders_file__orders", "stg_shop__orders", "int_order_records", "int_orders", "int_person_facts"]
THREADS = 2  # as in profiles.yml
VARIABLES = {
    "sources": ["orders_file"],
    "as_of_date": "2026-06-30",
    "business_time_zone": "UTC",
    "reporting_currency": "EUR",
}
ORDERS = """
    copy (
        select
            'O' || i as order_id,
            -- every customer orders once; the rest falls to few of them more than to many
            'C' || case when i < {customers} then i else cast(floor({customers} * pow(random(), 2)) as bigint) end
                as customer_id,
            timestamp '2023-07-01' + to_seconds(cast(floor(random() * 94694400) as bigint)) as ordered_at,
            cast(5 + random() * 95 as decimal(18, 2)) as amount
        from range({orders}) as numbers (i)
    ) to '{path}'
"""


def dbt(folder, *arguments):
    command = [Path(sys.executable).with_name("dbt"), "--quiet", *arguments, "--vars", json.dumps(VARIABLES)]
    folders = {
        "LIFECYCLE_RAW": folder,
        "LIFECYCLE_WAREHOUSE": folder / "lifecycle.duckdb",
        "DBT_TARGET_PATH": folder / "target",
        "DBT_LOG_PATH": folder / "logs",
    }
    subprocess.run(command, cwd=PROJECT, check=True, env=os.environ | {key: str(path) for key, path in folders.items()})
    results = json.loads((folder / "target" / "run_results.json").read_text())["results"]
    return {result["unique_id"].split(".")[-1]: result["execution_time"] for result in results}


def aggregate_once(folder):
    path = folder / "yardstick.duckdb"
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path), config={"threads": THREADS}) as connection:
        started = time.perf_counter()
        connection.execute(
            "create table customers as select customer_id, count(*) as orders, min(ordered_at) as first_ordered_at, "
            f"max(ordered_at) as last_ordered_at, sum(amount) as revenue from '{folder}/orders.parquet' group by customer_id"
        )
        connection.execute("checkpoint")
        return time.perf_counter() - started


def write_history(folder):
    with duckdb.connect(str(folder / "lifecycle.duckdb"), config={"threads": THREADS}) as connection:
        (spells,) = connection.execute("select count(*) from marts.customer_stage_history").fetchone()
        started = time.perf_counter()
        connection.execute("create or replace table audit.rewritten as select * from marts.customer_stage_history")
        connection.execute("checkpoint")
        seconds = time.perf_counter() - started
        connection.execute("drop table audit.rewritten")
        return spells, seconds


def measure(folder, customers, orders, repeats):
    path = folder / "orders.parquet"
    if not path.exists():
        with duckdb.connect(config={"threads": 1}) as connection:
            connection.execute("select setseed(0.4)")
            connection.execute(ORDERS.format(customers=customers, orders=orders, path=path))
    print(f"{customers:,} customers, {orders:,} orders, {path.stat().st_size / 1e6:.0f} MB of Parquet")
    without_tests = ["--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"]
    build = dbt(folder, "build", *without_tests, "--select", *(f"+{mart}" for mart in MARTS))
    reading = sum(build[model] for model in READING)

    runs = [dbt(folder, "run", "--threads", "1", "--select", *MARTS) for _ in range(repeats)]
    yardstick = min(aggregate_once(folder) for _ in range(repeats))
    rewritten = [write_history(folder) for _ in range(repeats)]
    best = {mart: min(run[mart] for run in runs) for mart in MARTS}
    for mart, seconds in best.items():
        print(f"{mart:44} {seconds:6.2f} s")
    total = sum(best.values())
    print(f"{'the three together':44} {total:6.2f} s")
    print(f"{'orders read and aggregated, bare statement':44} {yardstick:6.2f} s, {total / yardstick:5.1f} times that")
    print(f"{'orders read and aggregated, by the project':44} {reading:6.2f} s, {total / reading:5.1f} times that")
    spells, seconds = min(rewritten, key=lambda row: row[1])
    print(f"{f'writing the {spells:,} spells again':44} {seconds:6.2f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--orders", type=int, default=5_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        measure(folder.resolve(), arguments.customers, arguments.orders, arguments.repeats)


if __name__ == "__main__":
    main()
