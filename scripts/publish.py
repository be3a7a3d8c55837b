"""Copy the marts of a green build into a fresh DuckDB file, and on request into a Parquet folder, and swap them in.

BI tools and exporters read those and never the file that dbt writes: a reader there would stop a build, and a build would
stop the reader. An open reader keeps the old file until it reconnects. The file has a storage version that DuckDB 1.4
and later can read, and the descriptions of tables and columns as comments.

The Parquet folder, one <mart>.parquet each, is a link to a hidden folder beside it that no later run changes; the one
before stays until the next run, so that whoever has just listed it can read on.

Exit codes: 0 published, 1 unexpected, 2 usage, 3 the last dbt run was not a green build, or a file is damaged,
75 busy: try again.
"""

import argparse
import fcntl
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import duckdb

from common import BUSY, USAGE, WRONG, Problem, make_private, private, quoted, run_script, sync, written_whole

DBT_FOLDERS = {"DBT_TARGET_PATH": "target", "DBT_LOG_PATH": "logs"}
STORAGE_VERSION = "v1.4.0"
SCHEMAS = ("marts", "main", "temp", "system", "information_schema", "pg_catalog")  # a file's stem is its catalog


@contextmanager
def only_one(folder, name):
    """Hold a lock in the folder, so that two runs never write the same; raise Problem 75 if another run holds it.

    Yields the lock: programs that inherit it hold it, too.
    """
    with (folder / f".{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Problem(BUSY, f"another run is writing to {folder}; try again when it is done") from error
        yield lock


def add_warehouse(parser):
    """The option that says where the marts are: a DuckDB file, or the folder of a build on Spark."""
    default = os.environ.get("LIFECYCLE_WAREHOUSE", "warehouse/lifecycle.duckdb")
    parser.add_argument("--warehouse", "--from", dest="warehouse", type=Path, default=default, help="or LIFECYCLE_SPARK, the folder of a build on Spark")


def add_schema(parser):
    """The option that says where the marts are in the warehouse; in a published file they are in `marts`."""
    default = os.environ.get("LIFECYCLE_MARTS_SCHEMA", "marts")
    parser.add_argument("--schema", default=default, help="of the marts in the warehouse ($LIFECYCLE_MARTS_SCHEMA; default: marts)")


def connect_green(warehouse, schema):
    """A connection with the warehouse attached read-only; raise Problem if its last build is not green."""
    connection = duckdb.connect()
    try:
        if warehouse.is_dir():
            attach_folder(connection, warehouse, schema)
        else:
            connection.execute(f"attach {quoted(warehouse)} as warehouse (read_only)")
        check_green(connection, schema)
    except BaseException:
        connection.close()
        raise
    return connection


def attach_folder(connection, folder, schema):
    """What Spark wrote (macros/prepare_raw_spark.sql), as a warehouse of views on Parquet files."""
    files = {name: folder / "audit" / name / "*.parquet" for name in ("invocations", "marts")}
    if not all(any(path.parent.glob("*.parquet")) for path in files.values()):
        raise Problem(WRONG, f"{folder}: Spark has built no marts there; run scripts/spark_build.py")
    connection.execute("attach ':memory:' as warehouse")
    connection.execute("create schema warehouse.audit")
    connection.execute(f"""create table warehouse.audit.invocations as
        select invocation_id, command, min(started_at) as started_at, bool_and(is_green) as is_green, bool_and(is_whole) as is_whole, marts_schema
        from read_parquet({quoted(files["invocations"])}) group by all order by started_at""")
    connection.execute(f'create schema warehouse."{schema}"')
    described = f"from read_parquet({quoted(files['marts'])}) where marts_schema = {quoted(schema)}"
    for mart, description in connection.execute(f"select mart, description {described} and column_name is null order by all").fetchall():
        path = folder / "tables" / f"{schema}.db" / mart
        if not any(path.glob("*.parquet")):
            raise Problem(WRONG, f"{path}: the mart is not there; run scripts/spark_build.py")
        relation = f'warehouse."{schema}"."{mart}"'
        connection.execute(f"create view {relation} as from read_parquet({quoted(path / '*.parquet')})")
        connection.execute(f"comment on view {relation} is {quoted(description)}")
    for mart, column, description in connection.execute(f"select mart, column_name, description {described} and column_name is not null").fetchall():
        connection.execute(f'comment on column warehouse."{schema}"."{mart}"."{column}" is {quoted(description)}')


def check_green(connection, schema):
    """Raise unless everything was built and tested green, and whatever ran since then was green and tested, too."""
    try:
        runs = connection.execute(
            "select command, is_green, is_whole from warehouse.audit.invocations "
            "where coalesce(marts_schema, 'marts') = ? order by started_at desc, rowid desc",
            [schema],
        ).fetchall()
    except (duckdb.CatalogException, duckdb.BinderException):
        runs = []
    for command, is_green, is_whole in runs:
        if not is_green:
            raise Problem(WRONG, f"`dbt {command}` did not end green; the published marts stay as they are until a whole `dbt build` does")
        if is_whole:
            return
        if command not in ("build", "test"):
            raise Problem(WRONG, f"since the last whole build there was a `dbt {command}`, which does not test the marts; run `dbt build`")
    raise Problem(WRONG, "this warehouse has never been built as a whole; run `dbt build`")


def copy_marts(connection, schema, target):
    """Copy every table of the schema of marts, with its comments, into a new file and return their names."""
    connection.execute(f"attach {quoted(target)} as published (storage_version {quoted(STORAGE_VERSION)})")
    connection.execute("create schema published.marts")
    here = f"database_name = 'warehouse' and schema_name = {quoted(schema)}"
    relations = f"""(select table_name, comment from duckdb_tables() where {here}
        union all select view_name, comment from duckdb_views() where {here} and not internal)"""
    tables = connection.execute(f"select table_name from {relations} order by table_name").fetchall()
    for number, (table,) in enumerate(tables, start=1):
        print(f"[{number}/{len(tables)}] {table}", flush=True)
        connection.execute(f'create table published.marts."{table}" as from warehouse."{schema}"."{table}"')
    comments = connection.execute(f"""
        select 'table published.marts."' || table_name || '"', comment from {relations} where comment is not null
        union all
        select 'column published.marts."' || table_name || '"."' || column_name || '"', comment from duckdb_columns()
        where {here} and comment is not null""").fetchall()
    for thing, comment in comments:
        connection.execute(f"comment on {thing} is {quoted(comment)}")
    connection.execute("checkpoint published")
    return [table for (table,) in tables]


def write_parquet(connection, tables, folder):
    """Write the published tables into a new hidden folder beside `folder` and return it; nobody reads it yet."""
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for table in tables:
            path = fresh / f"{table}.parquet"
            connection.execute(f'copy published.marts."{table}" to {quoted(path)} (format parquet)')
            sync(path)
    except BaseException:
        shutil.rmtree(fresh)
        raise
    if folder.exists():  # as with the file: whoever opened the earlier one to others means this one, too
        mode = folder.stat().st_mode & 0o777
        for path in fresh.iterdir():
            os.chmod(path, mode & 0o666)
        os.chmod(fresh, mode)
    sync(fresh)
    return fresh


def swap_folder(folder, fresh):
    """Make the link `folder` name the folder `fresh`, and remove all but that and the one before."""
    before = folder.resolve()
    link = fresh.with_name(fresh.name + ".link")
    os.symlink(fresh.name, link)
    os.replace(link, folder)
    sync(folder.parent)
    for path in folder.parent.glob(f".{folder.name}.*"):
        if path.is_symlink():
            path.unlink()
        elif path not in (fresh, before):
            shutil.rmtree(path)


def close_what_dbt_wrote(warehouse):
    """Make private what holds rows, or may; dbt leaves the modes to the umask. Says so in one line if others could read it."""
    folder = warehouse.parent
    dbts = [Path(os.environ.get(name, default)) for name, default in DBT_FOLDERS.items()]
    opened = ", ".join(map(str, make_private([*sorted(folder.glob(f"{warehouse.name}*")), *dbts])))
    if opened:
        print(f"publish: warning: others could read {opened}; no more (run dbt with `umask 077`)", file=sys.stderr)
    if all(path.name.startswith((warehouse.name, ".git")) for path in folder.iterdir()):
        make_private([folder])  # as git made it


def publish(warehouse, published, parquet=None, schema="marts"):
    """Publish the marts of `warehouse`, which are in `schema` there, as the file `published`, and as the folder `parquet` if one is given.

    Raise Problem if that must not or cannot be done; what was published before then stays as it is.
    """
    if not warehouse.exists():
        raise Problem(USAGE, f"there is no warehouse {warehouse} (LIFECYCLE_WAREHOUSE); run `dbt build`")
    if published.stem in SCHEMAS or "." in published.stem:
        raise Problem(USAGE, f"{published.name}: DuckDB cannot tell such a file from a schema; rename LIFECYCLE_PUBLISHED")
    if parquet and parquet.exists() and not parquet.is_symlink():
        raise Problem(USAGE, f"{parquet} was not made by this program, which would replace it; name another --parquet")
    private()
    if not warehouse.is_dir():
        close_what_dbt_wrote(warehouse)
    for path in filter(None, (published, parquet)):
        path.parent.mkdir(parents=True, exist_ok=True)
    with only_one(published.parent, "publish"):
        for leftover in published.parent.glob(f".{published.name}.*"):  # of killed runs
            leftover.unlink()
        # marts hold addresses: private, unless whoever runs this has opened an earlier file to others
        mode = published.stat().st_mode & 0o777 if published.exists() else 0o600
        with written_whole(published) as partial:
            connection = connect_green(warehouse, schema)
            # what a killed build spilled: nobody builds now, and nobody else reads there
            shutil.rmtree(warehouse.with_name(f"{warehouse.name}.tmp"), ignore_errors=True)
            try:
                tables = copy_marts(connection, schema, partial)
                fresh = write_parquet(connection, tables, parquet) if parquet else None
            finally:
                connection.close()
            os.chmod(partial, mode)
        if parquet:
            swap_folder(parquet, fresh)
    print(f"published {len(tables)} marts as {published} ({published.stat().st_size / 1e6:.1f} MB)")
    if parquet:
        print(f"published {len(tables)} marts as {parquet}/*.parquet")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    add_warehouse(parser)
    parser.add_argument(
        "--published",
        type=Path,
        default=os.environ.get("LIFECYCLE_PUBLISHED", "published/customer_lifecycle.duckdb"),
    )
    parser.add_argument("--parquet", type=Path, metavar="FOLDER", help="also as one Parquet file per mart, in this folder")
    add_schema(parser)
    options = parser.parse_args(arguments)
    return run_script(
        "publish", lambda: publish(options.warehouse, options.published, options.parquet, options.schema),
        warehouse=options.warehouse, published=options.published, parquet=options.parquet,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
