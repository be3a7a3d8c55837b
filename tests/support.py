"""What the tests share: real builds of the project in processes of their own, and the warehouses they make."""

import json
import os
import subprocess
import sys
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


def shared_data(name):
    """A folder of real data with references, or a skip that says what is missing."""
    folder = SHARED / name
    if not folder.exists():
        pytest.skip(f"the reference data {name} are not beside this project")
    return folder
