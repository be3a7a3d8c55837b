"""Copy published marts into a PostgreSQL schema, for tools that speak only that protocol (Power BI, Tableau).

Everything happens in one transaction: readers are never blocked, see all old rows until it commits and all new ones
after, and a failure or an end halfway leaves the old. Tables stay the same tables, so grants and views on them survive,
unless a mart's columns changed. Only tables that this script made are ever changed or dropped. Tables and columns have the
descriptions of the marts as comments; that of a table ends with the words by which this script knows its own.

Without `--mart` the marts in AGGREGATES go: none has a row per person. Marts with people or addresses in them go only by
name, as a whole or with named columns. Nobody but the connecting user may read them until you grant it.

The database is that of psql's environment (PGSERVICE, PGHOST, PGDATABASE, PGUSER, ~/.pgpass).

Exit codes: 0 published, 1 unexpected, 2 usage or no connection, 3 the file or the database does not fit, 75 busy: try again.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb

from common import Problem, quoted, run_script

AGGREGATES = [
    "active_day_histogram",
    "audience_summary",
    "build_settings",
    "campaign_engagement",
    "campaign_engagement_daily",
    "campaign_results",
    "cohort_retention",
    "cohort_retention_30d",
    "cohort_value",
    "consent_changes",
    "growth_accounting",
    "habit_metrics",
    "lifecycle_metrics",
    "location_cohorts",
    "metric_benchmarks",
    "metric_health",
    "onboarding_cohorts",
    "product_affinities",
    "products",
    "rejected_reasons",
    "return_curve",
    "rfm_cut_points",
    "rfm_grid",
    "rfm_transitions",
    "runs",
    "source_tables",
    "stage_framework_counts",
    "stage_funnel",
    "stage_summary",
    "stage_thresholds",
    "stage_transitions",
    "touchpoint_gaps",
]
TYPES = {
    "VARCHAR": "text",
    "BOOLEAN": "boolean",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "HUGEINT": "numeric(38,0)",
    "DOUBLE": "double precision",
    "DATE": "date",
    "TIMESTAMP": "timestamp without time zone",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
}
OURS = "customer lifecycle mart"  # the end of the comments on tables of this script
CONFIRMED = "the marts are published"
# 55P03: a lock could not be had in time; 40P01: deadlock
BUSY = ("55P03", "40P01")


def identifier(name):
    return '"' + name.replace('"', '""') + '"'


def postgres_type(duckdb_type):
    """The PostgreSQL type that holds exactly the same values, spelt as format_type() does."""
    decimal = re.fullmatch(r"DECIMAL\((\d+),\s*(\d+)\)", duckdb_type)
    return f"numeric({decimal[1]},{decimal[2]})" if decimal else TYPES.get(duckdb_type)


def chosen_marts(connection, wanted):
    """{mart: {column: PostgreSQL type}} of what `wanted` names as "mart" or "mart:column,column"; all columns without."""
    marts = {}
    for mart, _, names in (name.partition(":") for name in wanted):
        columns = dict(
            connection.execute(
                "select column_name, data_type from information_schema.columns "
                "where table_schema = 'marts' and table_name = ? order by ordinal_position",
                [mart],
            ).fetchall()
        )
        if not columns:
            raise Problem(2, f"there is no mart {mart} in the published file")
        unknown = [name for name in names.split(",") if name and name not in columns]
        if unknown:
            raise Problem(2, f"{mart} has no column {unknown[0]}; it has {', '.join(columns)}")
        kept = {name: columns[name] for name in (names.split(",") if names else columns)}
        for name, duckdb_type in kept.items():
            if not postgres_type(duckdb_type):
                raise Problem(3, f"{mart}.{name} is {duckdb_type}, for which TYPES has no PostgreSQL type")
        marts[mart] = {name: postgres_type(duckdb_type) for name, duckdb_type in kept.items()}
    return marts


def comments(connection, mart, columns):
    """{None: the description of the mart, column: its description} as the published file has them."""
    described = f"database_name = current_database() and schema_name = 'marts' and table_name = {quoted(mart)}"
    found = connection.execute(f"""
        select null, comment from duckdb_tables() where {described}
        union all select column_name, comment from duckdb_columns() where {described}""").fetchall()
    return {name: comment for name, comment in found if comment and (name is None or name in columns)}


def psql(**options):
    """A psql that reads a script, stops at the first error, and never quotes data in its messages."""
    command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose"]
    try:
        return subprocess.Popen(
            [*command, "-v", "SHOW_CONTEXT=never", "-f", "-"],
            stdin=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=os.environ | {"PGCLIENTENCODING": "UTF8"},
            **options,
        )
    except FileNotFoundError as error:
        raise Problem(2, "psql is not installed; it is in the package postgresql-client") from error


def check_end(code, messages):
    """Raise the Problem that psql's exit code and messages tell of, if any."""
    if not code:
        return
    failed = re.search(r"ERROR:\s+(\w{5}): (.*)", messages)
    if failed and failed[1] in BUSY:
        raise Problem(75, "the database is busy with these tables; nothing was changed, try again later")
    if failed:
        raise Problem(3, f"PostgreSQL refused, nothing was changed: {failed[2]} ({failed[1]})")
    raise Problem(2, f"psql failed, nothing was changed: {messages.strip().splitlines()[-1] if messages else code}")


def tables_there(schema):
    """{table: ({column: type}, made by this script)} of the schema; empty if it does not exist."""
    query = f"""
        select to_json(array[c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod),
            coalesce(obj_description(c.oid, 'pg_class'), '')])
        from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.relnamespace = (select oid from pg_namespace where nspname = {quoted(schema)})
            and c.relkind not in ('i', 'S', 'I')
        order by c.relname, a.attnum;"""
    process = psql(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    answer, messages = process.communicate(query)
    check_end(process.returncode, messages)
    tables = {}
    for table, column, kind, comment in map(json.loads, answer.splitlines()):
        tables.setdefault(table, ({}, comment.endswith(OURS)))[0][column] = kind
    return tables


def text_rows(connection, mart, columns):
    """The rows of a mart as lines of PostgreSQL's COPY text format."""
    value = "cast({} as varchar)"
    for plain, escaped in (("'\\'", "'\\\\'"), ("chr(10)", "'\\n'"), ("chr(13)", "'\\r'"), ("chr(9)", "'\\t'")):
        value = f"replace({value}, {plain}, {escaped})"
    fields = ", ".join(f"coalesce({value.format(identifier(column))}, '\\N')" for column in columns)
    cursor = connection.execute(f"select concat_ws(chr(9), {fields}) from marts.{identifier(mart)}")
    while rows := cursor.fetchmany(10_000):
        for (line,) in rows:
            yield line + "\n"


def script(connection, schema, marts, there):
    """The lines of the psql script: one transaction that makes the schema hold exactly these marts, then a vacuum."""
    yield "begin;\nset local datestyle = iso;\nset local lock_timeout = '10s';\n"
    yield f"select pg_advisory_xact_lock(hashtext({quoted(OURS + ' ' + schema)})) \\g /dev/null\n"
    yield f"create schema if not exists {identifier(schema)};\n"
    for table, (_, is_ours) in there.items():
        if is_ours and table not in marts:
            yield f"drop table {identifier(schema)}.{identifier(table)};\n"
    for mart, columns in marts.items():
        table = f"{identifier(schema)}.{identifier(mart)}"
        if mart in there and list(there[mart][0].items()) == list(columns.items()):
            yield f"delete from {table};\n"
        else:
            if mart in there:
                yield f"drop table {table};\n"
            yield f"create table {table} ({', '.join(f'{identifier(name)} {kind}' for name, kind in columns.items())});\n"
        described = comments(connection, mart, columns)
        yield f"comment on table {table} is {quoted(chr(10).join(filter(None, (described.pop(None, ''), OURS))))};\n"
        for name in columns:
            text = quoted(described[name]) if name in described else "null"
            yield f"comment on column {table}.{identifier(name)} is {text};\n"
        yield f"copy {table} from stdin;\n"
        yield from text_rows(connection, mart, columns)
        yield "\\.\n"
    yield f"commit;\n\\echo {CONFIRMED}\n"
    tables = ", ".join(f"{identifier(schema)}.{identifier(mart)}" for mart in marts)
    yield f"vacuum (analyze, skip_locked) {tables};\n"


def publish(published, schema, wanted):
    """Publish the marts that `wanted` names to the schema; raise Problem if that must not or cannot be done."""
    if not published.is_file():
        raise Problem(2, f"there is no published file {published} (LIFECYCLE_PUBLISHED); run `make build`")
    with duckdb.connect(str(published), read_only=True) as connection:
        connection.execute("set timezone = 'UTC'")
        marts = chosen_marts(connection, wanted)
        there = tables_there(schema)
        foreign = [mart for mart in marts if mart in there and not there[mart][1]]
        if foreign:
            raise Problem(3, f"{schema}.{foreign[0]} was not made by this script; choose another --schema")
        with tempfile.TemporaryFile("w+") as messages:
            process = psql(stdout=messages, stderr=messages)
            try:
                for line in script(connection, schema, marts, there):
                    process.stdin.write(line)
                process.stdin.close()
            except BrokenPipeError:
                pass
            code = process.wait()
            messages.seek(0)
            text = messages.read()
            # after the commit only the vacuum can fail, and PostgreSQL does that by itself sooner or later
            check_end(0 if CONFIRMED in text else code or 1, text)
    print(f"published {len(marts)} marts to the PostgreSQL schema {schema}")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--published", type=Path, default=os.environ.get("LIFECYCLE_PUBLISHED", "published/customer_lifecycle.duckdb")
    )
    parser.add_argument("--schema", default="lifecycle", help="PostgreSQL schema, made if it is not there")
    parser.add_argument(
        "--mart",
        action="append",
        metavar="NAME[:COLUMN,...]",
        help="exactly these marts, and columns, instead of the aggregated ones; may be repeated",
    )
    options = parser.parse_args(arguments)
    return run_script(
        "publish_postgres", lambda: publish(options.published, options.schema, options.mart or AGGREGATES), published=options.published
    )


if __name__ == "__main__":
    sys.exit(main())
