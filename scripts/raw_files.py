"""Open a raw folder in DuckDB exactly as dbt does, without dbt: the same source YAML, the same reader, the same macros."""

import re
from types import SimpleNamespace

import jinja2
import yaml

from common import Problem
from raw_reader import read_raw


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
        "var": variables.__getitem__,
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


def open_tables(query, folder, tables):
    """Make raw_import.<identifier> for every table below `folder`, whatever is wrong with the others.

    Returns ({table: {column: type in the file}}, what raw_reader says). A table that lacks a required column is made without it.
    """
    found = read_raw(query, list(tables.values()), folder.resolve(), {table["source_name"] for table in tables.values()}, goes_on=True)
    problems = [fault.text for fault in found.faults if not fault.table]
    if problems:
        raise Problem(3, problems[0])
    columns = {
        name: {
            column: "VARCHAR" if kind.startswith("VARCHAR") else kind
            for column, kind, *_ in query(f"describe raw_import.{table['identifier']}")
            if column in table["columns"]
        }
        for name, table in tables.items()
        if table["identifier"] in found.files
    }
    return columns, found
