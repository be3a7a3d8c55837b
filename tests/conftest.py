"""Shared fixtures: real builds of the project into temporary warehouses."""

import csv
import importlib.util
import json
import os
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

PROJECT = Path(__file__).resolve().parents[1]
SHARED = PROJECT.parent / "shared" / "data"


def dbt(*arguments, raw, warehouse, variables=None, check=True, **environment):
    """Run dbt in a process of its own (it would keep the warehouse locked) and return the finished process."""
    command = [Path(sys.executable).with_name("dbt"), "--no-use-colors", *arguments]
    if variables:
        command += ["--vars", json.dumps(variables)]
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env=os.environ
        | {
            "LIFECYCLE_RAW": str(raw),
            "LIFECYCLE_WAREHOUSE": str(warehouse),
            "LIFECYCLE_STATE": str(Path(warehouse).with_suffix(".state")),
            "DBT_TARGET_PATH": str(Path(warehouse).with_suffix(".target")),
            "DBT_LOG_PATH": str(Path(warehouse).with_suffix(".logs")),
        }
        | environment,
        capture_output=True,
        text=True,
    )
    if check and done.returncode:
        pytest.fail(f"dbt {' '.join(arguments)} failed:\n{done.stdout[-4000:]}")
    return done


class Warehouse:
    """A built warehouse to query."""

    def __init__(self, path):
        self.path = path
        self.connection = duckdb.connect(str(path), read_only=True)

    def rows(self, query):
        return self.connection.execute(query).fetchall()

    def row(self, query):
        (row,) = self.rows(query)
        return row

    def dicts(self, query):
        cursor = self.connection.execute(query)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    """A function that builds the project from a raw folder and returns the warehouse."""
    opened = []

    def run(raw, **variables):
        path = tmp_path_factory.mktemp("warehouse") / "lifecycle.duckdb"
        dbt("build", raw=raw, warehouse=path, variables=variables)
        opened.append(Warehouse(path))
        return opened[-1]

    yield run
    for warehouse in opened:
        warehouse.connection.close()


@pytest.fixture(scope="session")
def cdnow_orders():
    """The CDNOW sample as it ships in the package lifetimes (only its data are used)."""
    spec = importlib.util.find_spec("lifetimes")
    if spec is None:
        pytest.skip("the package lifetimes is not installed: pip install --no-deps lifetimes==0.11.3")
    path = Path(spec.submodule_search_locations[0]) / "datasets" / "CDNOW_sample.txt"
    rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
    return [(row[0], date.fromisoformat(row[2]), Decimal(row[4])) for row in rows]


@pytest.fixture(scope="session")
def cdnow_raw(cdnow_orders, tmp_path_factory):
    raw = tmp_path_factory.mktemp("cdnow")
    with (raw / "orders.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["customer_id", "ordered_at", "amount"])
        writer.writerows(cdnow_orders)
    return raw


def shared_data(name):
    """A folder of real data with references, or a skip that says what is missing."""
    folder = SHARED / name
    if not folder.exists():
        pytest.skip(f"the reference data {name} are not beside this project")
    return folder
