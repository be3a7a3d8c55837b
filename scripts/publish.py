"""Copy the marts of a green build into a fresh DuckDB file and swap it in.

BI tools and exporters read that file and never the one dbt writes: a reader there would stop a build, and a build would
stop the reader. An open reader keeps the old file until it reconnects. The file has a storage version that DuckDB 1.4
and later can read.

Exit codes: 0 published, 1 unexpected, 2 usage, 3 the last dbt run was not a green build, 75 busy: try again.
"""

import argparse
import fcntl
import os
import sys
from contextlib import contextmanager
from pathlib import Path

import duckdb

STORAGE_VERSION = "v1.4.0"


class Problem(Exception):
    """A problem the user can mend; `code` is the exit code."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def quoted(text):
    return "'" + str(text).replace("'", "''") + "'"


@contextmanager
def only_one(folder, name):
    """Hold a lock in the folder, so that two runs never write the same; raise Problem 75 if another run holds it."""
    with (folder / f".{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Problem(75, f"another run is writing to {folder}; try again when it is done") from error
        yield


def connect_green(warehouse):
    """A connection with the warehouse attached read-only; raise Problem if it is locked or its last build not green."""
    connection = duckdb.connect()
    try:
        connection.execute(f"attach {quoted(warehouse)} as warehouse (read_only)")
        check_green(connection)
    except duckdb.IOException as error:
        connection.close()
        if "lock" not in str(error).lower():
            raise
        raise Problem(75, f"{warehouse} is being written; try again after the build") from error
    return connection


def check_green(connection):
    """Raise unless the last dbt run built (or tested) everything without an error or a failed test."""
    try:
        last = connection.execute(
            "select command, is_green from warehouse.audit.invocations order by started_at desc, rowid desc"
        ).fetchone()
    except duckdb.CatalogException:
        last = None
    if last is None:
        raise Problem(3, "this warehouse has never been built; run `dbt build`")
    command, is_green = last
    if not is_green:
        raise Problem(3, f"the last `dbt {command}` did not end green; the published marts stay as they are")
    if command not in ("build", "test"):
        raise Problem(3, f"the last command was `dbt {command}`, which tests nothing; run `dbt build`")


def copy_marts(connection, target):
    """Copy every table of the schema marts into a new file and return their names."""
    connection.execute(f"attach {quoted(target)} as published (storage_version {quoted(STORAGE_VERSION)})")
    connection.execute("create schema published.marts")
    tables = connection.execute(
        "select table_name from information_schema.tables "
        "where table_catalog = 'warehouse' and table_schema = 'marts' order by table_name"
    ).fetchall()
    for number, (table,) in enumerate(tables, start=1):
        print(f"[{number}/{len(tables)}] {table}", flush=True)
        connection.execute(f'create table published.marts."{table}" as from warehouse.marts."{table}"')
    connection.execute("checkpoint published")
    connection.execute("detach published")
    return [table for (table,) in tables]


def sync(path):
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def publish(warehouse, published):
    """Publish the marts of `warehouse` as the file `published`; raise Problem if that must not or cannot be done."""
    if not warehouse.exists():
        raise Problem(2, f"there is no warehouse {warehouse} (LIFECYCLE_WAREHOUSE); run `dbt build`")
    if published.stem in ("marts", "main") or "." in published.stem:
        raise Problem(2, f"{published.name}: DuckDB cannot tell such a file from a schema; rename LIFECYCLE_PUBLISHED")
    published.parent.mkdir(parents=True, exist_ok=True)
    with only_one(published.parent, "publish"):
        partial = published.with_name(f".{published.name}.partial")
        for leftover in (partial, partial.with_name(partial.name + ".wal")):
            leftover.unlink(missing_ok=True)
        # marts hold addresses: private, unless whoever runs this has opened an earlier file to others
        mode = published.stat().st_mode & 0o777 if published.exists() else 0o600
        os.umask(0o077)
        connection = connect_green(warehouse)
        try:
            tables = copy_marts(connection, partial)
        finally:
            connection.close()
        os.chmod(partial, mode)
        sync(partial)
        os.replace(partial, published)
        sync(published.parent)
    print(f"published {len(tables)} marts as {published} ({published.stat().st_size / 1e6:.1f} MB)")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--warehouse", type=Path, default=os.environ.get("LIFECYCLE_WAREHOUSE", "warehouse/lifecycle.duckdb")
    )
    parser.add_argument(
        "--published",
        type=Path,
        default=os.environ.get("LIFECYCLE_PUBLISHED", "published/customer_lifecycle.duckdb"),
    )
    options = parser.parse_args(arguments)
    try:
        publish(options.warehouse, options.published)
    except Problem as problem:
        print(f"publish: {problem}", file=sys.stderr)
        return problem.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
