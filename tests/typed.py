"""The rows of a base model, computed in DuckDB by the project's own macros, without dbt: a case takes milliseconds."""

import re
from types import SimpleNamespace

import duckdb
import pytz
import yaml

from raw_checks import raw_files
from support import PROJECT

DEFAULTS = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"]
SEEDS = {seed["name"]: seed for seed in yaml.safe_load((PROJECT / "seeds" / "_seeds.yml").read_text())["seeds"]}


class Desk:
    """Types raw tables; `settings` are the variable source_settings, other variables come by name."""

    def __init__(self):
        self.connection = duckdb.connect()
        self.query("set TimeZone = 'UTC'")
        self.query("create schema raw")
        self.variables, self.declared = dict(DEFAULTS), raw_files.declared(PROJECT, ["canonical", "orders_file"])
        self.macros = raw_files.macros(PROJECT, self.query, self.variables)
        self.macros["adapter"].get_columns_in_relation = self.columns
        self.macros |= {"execute": True, "config": lambda **_: "", "ref": self.seed, "modules": SimpleNamespace(re=re, pytz=pytz)}
        self.macros["make_functions"]()
        self.macros["raw_tables"] = lambda: list(self.declared.values())

    def query(self, sql):
        self.connection.execute(sql)
        return self.connection.fetchall() if self.connection.description else []

    def columns(self, relation):
        return [
            SimpleNamespace(name=name, dtype=kind, is_string=lambda kind=kind: kind == "VARCHAR")
            for name, kind, *_ in self.query(f"describe {relation}")
        ]

    def seed(self, name):
        types = {column: kind.upper().replace("STRING", "VARCHAR") for column, kind in SEEDS[name]["config"]["column_types"].items()}
        return f"read_csv('{PROJECT}/seeds/{name}.csv', types = {types})"

    def problems(self, settings, sources=("orders_file",)):
        """What is wrong with source_settings."""
        self.variables.update(DEFAULTS | {"source_settings": settings, "sources": list(sources)})
        return self.macros["source_settings_problems"]()

    def rows(self, table, query, settings=None, reject_when=(), **variables):
        """What base_<source>__<table> holds if the raw table is `query`; columns that it lacks are null texts."""
        self.variables.update(DEFAULTS | {"source_settings": settings or {}} | variables)
        identifier, columns = self.declared[table]["identifier"], self.declared[table]["columns"]
        self.query(f"create or replace table raw.{identifier} as {query}")
        for name in columns.keys() - {column.name for column in self.columns(f"raw.{identifier}")}:
            self.query(f"alter table raw.{identifier} add column {name} varchar")
        relation = type("Relation", (str,), {"identifier": identifier})(f"raw.{identifier}")
        branches = [self.macros[name](*arguments) for name, *arguments in reject_when]
        cursor = self.connection.execute(self.macros["typed_rows"](relation, branches))
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def orders(self, column, values, settings=None, kind="varchar", table="orders_file.orders", **variables):
        """One order per value of the column, which the file holds as `kind`: (typed value, reject_reason, row_remark) of each."""
        plain = {"customer_id": "'c'", "ordered_at": "'2026-11-10'", "amount": "'1'", "gross_amount": "'1'", "currency": "'EUR'"}
        self.query(f"create or replace table main.given (number integer, value {kind})")
        self.connection.executemany("insert into main.given values (?, ?)", list(enumerate(values, start=1)))
        others = ", ".join(f"{sql} as {name}" for name, sql in plain.items() if name != column)
        query = f"select cast(number as varchar) as order_id, value as {column}, {others} from main.given"
        settings = settings and {table.split(".")[0]: settings}
        rates = [("without_exchange_rate", "currency", "ordered_at")]
        rows = {row["row_key"].split(":")[0]: row for row in self.rows(table, query, settings, rates, **variables)}
        found = [rows[str(number + 1)] for number in range(len(values))]
        return [(row[column], row["reject_reason"], row["row_remark"]) for row in found]
