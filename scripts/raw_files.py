"""Open a raw folder in DuckDB exactly as dbt does: the same source YAML, the same macros, run without dbt."""

import re
from types import SimpleNamespace

import duckdb
import jinja2
import yaml

from common import Problem


class Returned(Exception):
    """What dbt's `return()` raises in a macro, with the value."""


def macros(project, query, variables):
    """The project's own macros by name, as functions. `query` gives the rows of an SQL text."""
    jinja = jinja2.Environment(extensions=["jinja2.ext.do"])

    def give_back(value):
        raise Returned(value)

    def function(name, text):
        template = jinja.from_string(text)

        def call(*arguments, **named):
            try:
                return getattr(template.module, name)(*arguments, **named)
            except Returned as returned:
                return returned.args[0]

        return call

    jinja.globals |= {
        "return": give_back,
        "var": lambda name, *default: variables.get(name, *default) if default else variables[name],
        "run_query": lambda sql: SimpleNamespace(rows=query(sql)),
        "adapter": SimpleNamespace(
            quote=lambda name: '"' + name.replace('"', '""') + '"',
            dispatch=lambda name: jinja.globals[f"duckdb__{name}"],
        ),
    }
    for file in sorted((project / "macros").glob("*.sql")):
        for macro in re.findall(r"\{% macro .*?\{% endmacro %\}", file.read_text(), re.DOTALL):
            name = re.match(r"\{% macro (\w+)", macro)[1]
            jinja.globals[name] = function(name, macro)
    return jinja.globals


def declared(project, sources):
    """The raw tables of these sources or adapters by "source.table", shaped as the macros expect them."""
    tables = {}
    for path in sorted(project.glob("models/staging/*/_*__sources.yml")):
        for source in yaml.safe_load(path.read_text())["sources"]:
            for table in source["tables"]:
                meta = table.get("config", {}).get("meta", {})
                if "path" in meta:
                    columns = {
                        column["name"]: column | {"config": {"meta": column.get("config", {}).get("meta", {})}}
                        for column in table["columns"]
                    }
                    own = {
                        "source_name": source["name"],
                        "adapter": path.parent.name,
                        "columns": columns,
                        "yaml": path.relative_to(project),
                        "suite": path.relative_to(project).with_name(f"_{source['name']}__expectations.yml"),
                    }
                    tables[f"{source['name']}.{table['name']}"] = table | own
    known = sorted({table[word] for table in tables.values() for word in ("source_name", "adapter")})
    for name in sources:
        if name not in known:
            raise Problem(2, f"unknown source '{name}'; known: {', '.join(known)}")
    return {name: table for name, table in tables.items() if {table["source_name"], table["adapter"]} & {*sources}}


def open_tables(functions, query, folder, tables):
    """Make raw.<identifier> for every file below `folder`.

    Returns ({table: {column: type in the file}}, {table: file}, [(table, what is wrong with its file)]). A missing
    column is not a problem here: its table is opened without it.
    """
    folder = folder.resolve()
    files = {path.as_posix(): True for path in [*folder.glob("*"), *folder.glob("*/*")]}
    if not files:
        raise Problem(3, f"no raw data in '{folder}' (LIFECYCLE_RAW); `make demo` makes a demo")
    query("create schema raw")
    query("create table raw.unreadable_lines (s varchar, t varchar, line bigint, reason varchar, raw_line varchar)")
    columns, paths, problems = {}, {}, []
    for name, table in tables.items():
        path = f"{folder.as_posix()}/{table['config']['meta']['path']}"
        found = [path + ending for ending in (".parquet", ".csv", ".csv.gz") if path + ending in files]
        wrong = []
        try:
            for statement in functions["raw_relation"](table, folder.as_posix(), files, wrong):
                query(statement)
            wrong = [text for text in wrong if "required column" not in text]
        except duckdb.Error as error:
            wrong = [f"{found[0]}: cannot be read; is it cut off? {str(error).splitlines()[0][:120]}"]
        problems += [(name, text) for text in wrong]
        if found and not wrong:
            paths[name] = found[0]
            columns[name] = {
                row[0]: "VARCHAR" if row[1].startswith("VARCHAR") else row[1]
                for row in query(f"describe raw.{table['identifier']}")
            }
    return columns, paths, problems
