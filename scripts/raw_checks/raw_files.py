"""Open a raw folder in DuckDB exactly as dbt does, without dbt: the same source YAML, the same reader, the same macros."""

import os
import re
from pathlib import Path
from types import SimpleNamespace

import jinja2
import yaml

from common import Problem
from raw_reader import read_raw

PROJECT = Path(__file__).resolve().parents[2]


class Returned(Exception):
    """What dbt's `return()` raises in a macro, with the value."""


def macros(project, query, variables, files=("*",)):
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
    for file in sorted(path for name in files for path in (project / "macros").glob(f"{name}.sql")):
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


def databases():
    """What profiles.yml says of databases with raw tables, by name: those of the plugin, files that dbt attaches, the warehouse."""
    folder = Path(os.environ.get("DBT_PROFILES_DIR", PROJECT))

    def env_var(name, default=None):
        if os.environ.get(name, default) is None:
            raise Problem(2, f"profiles.yml: the environment variable {name} is not set")
        return os.environ.get(name, default)

    def rendered(value):
        if isinstance(value, dict):
            return {key: rendered(own) for key, own in value.items()}
        if isinstance(value, list):
            return [rendered(own) for own in value]
        flags = SimpleNamespace(PROFILES_DIR=str(folder))
        return jinja2.Template(value).render(env_var=env_var, flags=flags) if isinstance(value, str) else value

    name = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["profile"]
    profile = yaml.safe_load((folder / "profiles.yml").read_text())[name]
    output = rendered(profile["outputs"][os.environ.get("DBT_TARGET", rendered(profile["target"]))])
    found = {None: {"path": output["path"]}}
    found |= {entry["alias"]: entry for entry in output.get("attach") or [] if entry.get("alias")}
    for plugin in output.get("plugins") or []:
        found |= (plugin.get("config") or {}).get("databases") or {}
    return found


def open_tables(query, folder, tables, chosen=None):
    """Make raw_import.<identifier> for every table below `folder`, or of the databases in `chosen` (the variable raw_databases).

    What is wrong with one table does not keep the others away, and one that lacks a required column is made without it.
    Returns ({table: {column: type in the file}}, what raw_reader says).
    """
    wanted = {table["source_name"] for table in tables.values()}
    known = (chosen, databases()) if chosen else None
    found = read_raw(query, list(tables.values()), folder.resolve(), wanted, databases=known, goes_on=True)
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
