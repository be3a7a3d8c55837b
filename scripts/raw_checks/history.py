"""Row counts and means of earlier runs, in the state."""

import datetime as dt
import os

import duckdb

from common import quoted, written_whole


def previous_run(state, is_demo):
    """{(table, column): (mean, when)} of the last runs that did not stop; column None: the number of rows."""
    files = state / "raw_checks" / "*.parquet"
    if not list(files.parent.glob("*.parquet")):
        return {}
    rows = duckdb.execute(
        "select table_name, column_name, arg_max(value, run_at), max(run_at) "
        f"from read_parquet({quoted(files)}, union_by_name = true) "
        "where outcome in ('passed', 'warnings', 'accepted') and is_demo = ? and table_name is not null group by all",
        [is_demo],
    ).fetchall()
    return {(table, column): (value, when) for table, column, value, when in rows}


def record(state, outcome, is_demo, measured=()):
    """Append one run to LIFECYCLE_STATE/raw_checks: a file that appears whole or not at all."""
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    path = state / "raw_checks" / f"{now:%Y%m%dT%H%M%S%f}-{os.getpid()}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial, duckdb.connect() as connection:
        connection.execute(
            "create table run (run_at timestamp, outcome varchar, is_demo boolean, "
            "table_name varchar, column_name varchar, value double)"
        )
        rows = [[now, outcome, is_demo, *row] for row in dict.fromkeys(measured) or [(None, None, None)]]
        connection.executemany("insert into run values (?, ?, ?, ?, ?, ?)", rows)
        connection.execute(f"copy run to {quoted(partial)} (format parquet)")
