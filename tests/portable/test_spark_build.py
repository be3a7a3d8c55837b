"""The whole project built on Apache Spark and on DuckDB from the same raw data: every mart and every exported file is the same."""

import math
import os
import shutil
from itertools import zip_longest

import duckdb
import pytest

from support import DEMO, PROJECT, dbt, script

pytest.importorskip("dbt.adapters.spark", reason="dbt-spark is not installed: `make test-spark` does it")
pytest.importorskip("pyspark", reason="pyspark is not installed: `make test-spark` does it")
if not shutil.which("java"):
    pytest.skip("Spark needs Java 17, which is not here", allow_module_level=True)
if not os.environ.get("TEST_SPARK"):
    pytest.skip("whole builds on Spark take minutes: `make test-spark` runs them", allow_module_level=True)

NO_TESTS = ("--exclude-resource-type", "test", "unit_test")
# small data: one core, no partitions, and what would be compiled once is not worth it
SMALL = {
    "LIFECYCLE_SPARK_MASTER": "local[1]",
    "LIFECYCLE_SPARK_PARTITIONS": "1",
    "LIFECYCLE_SPARK_CODEGEN": "false",
    "LIFECYCLE_SPARK_JAVA": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}
NOW = "2026-07-01T06:00:00+00:00"


def columns_of(connection, relation):
    return {name: kind for name, kind, *_ in connection.execute(f"describe {relation}").fetchall()}


def rows_of(connection, relation, columns):
    """The rows in one order, whatever the last digit of a double."""
    names = [f'"{name}"' for name in sorted(columns, key=lambda name: (columns[name] == "DOUBLE", name))]
    return connection.execute(f"select {', '.join(names)} from {relation} order by all nulls first").fetchall()


def is_same(one, other):
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-12) or one == other or (math.isnan(one) and math.isnan(other))
    return type(one) is type(other) and one == other


def differences(one, other):
    """(marts compared, rows compared, what differs) of two published files; never a value, which may be somebody's."""
    with duckdb.connect() as connection:
        for name, path in (("one", one), ("other", other)):
            connection.execute(f"attach '{path}' as {name} (read_only)")
        tables = {}
        for name in ("one", "other"):
            found = connection.execute(f"select table_name from duckdb_tables() where database_name = '{name}' and schema_name = 'marts'")
            tables[name] = {table for (table,) in found.fetchall()}
        found = [f"{table} is in one of them only" for table in sorted(tables["one"] ^ tables["other"])]
        compared = 0
        for table in sorted(tables["one"] & tables["other"]):
            columns = columns_of(connection, f"one.marts.{table}")
            theirs = columns_of(connection, f"other.marts.{table}")
            found += [f"{table}.{name} is {columns.get(name)} and {theirs.get(name)}" for name in columns | theirs if columns.get(name) != theirs.get(name)]
            if columns.keys() != theirs.keys():
                continue
            pairs = [*zip_longest(*(rows_of(connection, f"{name}.marts.{table}", columns) for name in ("one", "other")))]
            compared += len(pairs)
            names = sorted(columns, key=lambda name: (columns[name] == "DOUBLE", name))
            wrong = {
                name: sum(mine is None or their is None or not is_same(mine[n], their[n]) for mine, their in pairs)
                for n, name in enumerate(names)
            }
            found += [f"{table}.{name}: {rows} of {len(pairs)} rows" for name, rows in wrong.items() if rows]
    return len(tables["one"] & tables["other"]), compared, found
