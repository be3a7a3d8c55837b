"""One run of the checks over one raw folder, by Great Expectations on DuckDB."""

import atexit
import datetime as dt
import difflib
import logging
import math
import os
from enum import Enum

import duckdb

from common import quoted, temporary_folder
from raw_reader.tables import is_data

from . import raw_files
from .expectations import COMPARED, PROJECT, WORDS, load_checks

MEMORY = "1GB"  # for DuckDB, which spills to disk beyond it; Python and Great Expectations take another 0.4 GB
FEW = 3  # so many bad rows warn but never stop: in a small file they are a large share
ENOUGH_KEYS = 1_000_000
PERSON_IDS = ("customer_id", "user_id", "contact_id")


class Gate:
    """One run over one raw folder. `before` is what previous_run returns; `results` and `measured` are what comes out."""

    def __init__(self, options, variables, before):
        self.as_of, self.before = options.as_of, before
        self.tables = raw_files.declared(PROJECT, options.sources)
        self.checks = load_checks(self.tables, variables)
        self.results, self.measured = [], []
        with temporary_folder("lifecycle_raw_checks_") as scratch:
            self.connect(f"duckdb:///{scratch}/scratch.duckdb")
            try:
                self.macros = raw_files.macros(PROJECT, self.query, variables)
                self.columns, self.found = raw_files.open_tables(self.query, options.raw, self.tables, variables["raw_databases"])
                named = {table["identifier"]: name for name, table in self.tables.items()}
                for fault in self.found.faults:
                    if fault.about in ("file", "lines"):
                        self.file_problem(named[fault.table], fault.text)
                for warning in self.found.warnings:
                    self.file_problem(named[warning.table], warning.text, "warn")
                for name in self.columns:
                    self.check_table(name)
            finally:
                self.source.get_engine().dispose()
                self.connection.close()
                self.engine.dispose()

    def connect(self, url):
        """Import Great Expectations, which takes seconds, and open the scratch database for it and for us."""
        os.environ["GX_ANALYTICS_ENABLED"] = "false"
        logging.disable(logging.CRITICAL)  # it logs queries that fail together with values from the data
        import great_expectations  # noqa: PLC0415
        import sqlalchemy  # noqa: PLC0415
        from great_expectations.execution_engine import sqlalchemy_execution_engine as gx_engine  # noqa: PLC0415

        # at the very end DuckDB would print a page about objects that Great Expectations has not freed
        atexit.register(lambda: os.dup2(os.open(os.devnull, os.O_WRONLY), 2))
        if "duckdb" not in gx_engine._PERSISTED_CONNECTION_DIALECTS:  # else it closes before it fetches
            gx_engine._PERSISTED_CONNECTION_DIALECTS += (Enum("Dialect", {"DUCKDB": "duckdb"}, type=str).DUCKDB,)
        context = great_expectations.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        self.gx = great_expectations
        self.source = context.data_sources.add_sql("raw", connection_string=url)
        self.engine = sqlalchemy.create_engine(url)
        self.connection = self.engine.raw_connection()
        self.query(f"set memory_limit = '{MEMORY}'")
        self.query("set global TimeZone = 'UTC'")

    def query(self, sql, parameters=None):
        connection = self.connection.driver_connection
        connection.execute(sql, *([parameters] if parameters else []))
        return connection.fetchall() if connection.description else []

    def report(self, check, outcome, **facts):
        keys = ("table", "column", "what", "severity", "reason")
        self.results.append({"outcome": outcome} | {key: check[key] for key in keys} | facts)

    def file_problem(self, name, text, severity="stop"):
        reason = "What cannot be read cannot be checked, and what is read twice counts twice."
        check = {"table": name, "column": None, "what": "file", "severity": severity, "reason": reason}
        self.report(check, severity, message=text, what_to_do=WORDS["file"][1])

    def typed(self, name, column):
        """SQL of a raw column as its declared type, null if it is not one: the expression of the staging models."""
        table, there = self.tables[name], self.columns[name]
        declared, instance = table["columns"][column], "instance" if "instance" in there else None
        value = self.macros["strip"](column) if self.macros["is_written_id"](declared, there[column]) else column
        return self.macros["typed_column"](value, declared, table["source_name"], there[column], instance)

    def key(self, name):
        """The columns that must tell rows apart: the key, and the version where there is one; [] if one is missing."""
        meta, there = self.tables[name]["config"]["meta"], self.columns[name]
        version = [meta["latest_by"]] if meta.get("latest_by") in there else []
        return [*meta["key"], *version] if set(meta["key"]) <= set(there) else []

    def plan(self, check):
        """How to compute one check: (expectation, arguments, SQL of the column it looks at, condition of a bad row).

        The last two are None where a check is not about rows. None if a column or table that it needs is not there.
        """
        name, column, what, expect = check["table"], check["column"], check["what"], self.gx.expectations
        if what == "required columns are present":
            return expect.ExpectColumnToExist, {"column": column}, None, None
        if column and column not in self.columns[name]:
            return None
        if what == "has rows":
            return expect.ExpectTableRowCountToBeBetween, {"min_value": 1}, None, None
        if what == "is fresh":
            day = f"cast({self.typed(name, column)} as date)"
            day = f"case when {day} <= date '{self.as_of}' then {day} end"
            return expect.ExpectColumnMaxToBeBetween, {"min_value": self.as_of - dt.timedelta(check["days"])}, day, None
        return self.plan_comparison(check) if what in COMPARED else self.plan_share(check)

    def plan_comparison(self, check):
        """A row count or mean between two multiples of the last run's; without a last run it is only measured."""
        name, column = check["table"], check["column"]
        was = self.before.get((name, column), (0, None))[0]
        low, high = (was * check[bound] if was and bound in check else None for bound in ("at_least", "at_most"))
        if column:
            arguments = {"min_value": -1e300 if low is None else low, "max_value": high}
            number = f"cast({self.typed(name, column)} as double)"
            return self.gx.expectations.ExpectColumnMeanToBeBetween, arguments, number, None
        arguments = {"min_value": math.ceil(low or 0), "max_value": None if high is None else math.floor(high)}
        return self.gx.expectations.ExpectTableRowCountToBeBetween, arguments, None, None

    def plan_share(self, check):
        """A share of good rows: the mean of a column that is 1 for them, 0 for bad ones and null for the others."""
        name, column, what, expect = check["table"], check["column"], check["what"], self.gx.expectations
        relation, bounds = f"raw_import.{self.tables[name]['identifier']}", {"min_value": check["at_least"]}
        counted = f"{column} is not null"
        if what == "key is unique":
            if not self.key(name):
                return None
            key = ", ".join(self.key(name))
            filled = " and ".join(f"{part} is not null" for part in self.key(name))
            bad = f"({key}) in (select ({key}) from {relation} where {filled} group by {key} having count(*) > 1)"
            # counting distinct keys costs more than all else: of a large table a part of the keys, with all their rows
            ((rows,),) = self.query(f"select count(*) from {relation}")
            some = f"{filled} and hash({key}) % {max(1, rows // ENOUGH_KEYS)} = 0"
            hashes = f"select hash({key}) as hashed from {relation} where {some}"
            distinct = f"{self.tables[name]['identifier']}_keys"
            self.query(
                f"create or replace table main.{distinct} as "
                f"select count(distinct hashed) / nullif(count(*), 0) as share from ({hashes})"
            )
            return expect.ExpectColumnMeanToBeBetween, bounds, f"(select share from main.{distinct})", bad
        if what == "values are filled":
            good, counted = counted, "true"
        elif what == "values are readable":
            good = f"{self.typed(name, column)} is not null"
        elif what == "values are known":
            values = ", ".join(map(quoted, check["values"]))
            good = f"lower(trim(cast({column} as varchar))) in ({values})"
        else:
            there = self.columns.get(check["to"], {})
            key = self.tables[check["to"]]["config"]["meta"]["key"][0] if there else None
            if key not in there:
                return None
            ids = f"select {self.typed(check['to'], key)} from raw_import.{self.tables[check['to']]['identifier']}"
            good = f"{self.typed(name, column)} in ({ids} where {key} is not null)"
        share = f"case when {counted} then cast({good} as double) end"
        return expect.ExpectColumnMeanToBeBetween, bounds, share, f"{counted} and not ({good})"

    def check_table(self, name):
        """Check one table in one pass; keep a result per check and the counts and means for the next run."""
        damaged = f"{self.found.files[self.tables[name]['identifier']][0]}: cannot be read to its end, it is damaged"
        try:
            plans = [(check, self.plan(check)) for check in self.checks if check["table"] == name]
        except duckdb.Error:
            return self.file_problem(name, damaged)
        for check in [check for check, plan in plans if not plan]:
            self.report(check, "not checked", message="a column or table that it needs is not there")
        plans = [(check, plan) for check, plan in plans if plan]
        seen = self.observe(name, plans)
        if seen is None:  # perhaps only a table that it refers to is damaged, which is reported there
            plans = [(check, plan) for check, plan in plans if check["what"] != "values refer"]
            seen = self.observe(name, plans)
        if seen is None:
            return self.file_problem(name, damaged)
        for (check, plan), (passed, observed) in zip(plans, seen, strict=True):
            facts = {} if passed else self.explain(check, plan, observed)
            if passed or facts["rows"] == 0:
                self.report(check, "passed", observed=observed)
            else:
                few = facts["rows"] is not None and facts["rows"] <= FEW
                self.report(check, "warn" if few else check["severity"], observed=observed, **facts)
            if check["what"] in COMPARED and observed is not None:
                self.measured.append((name, check["column"], float(observed)))

    def observe(self, name, plans):
        """Have Great Expectations evaluate the plans: [(passed, observed)], or None if the file cannot be scanned."""
        identifier = self.tables[name]["identifier"]
        columns, expectations = ["*"], []
        for number, (_, (expectation, arguments, sql, _)) in enumerate(plans):
            target = {}
            if sql:
                columns.append(f"{sql} as check_{number}")
                target = {"column": f"check_{number}"}
            expectations.append(expectation(**arguments, **target, meta={"number": number}))
        self.query(f"create or replace view main.{identifier} as select {', '.join(columns)} from raw_import.{identifier}")
        title = f"{name} {len(self.source.assets)}"
        try:
            asset = self.source.add_table_asset(title, table_name=identifier)
        except ConnectionError:  # it tries to read a row
            return None
        batch = asset.add_batch_definition_whole_table("all").get_batch()
        done = batch.validate(self.gx.ExpectationSuite(title, expectations=expectations)).results
        done = {result.expectation_config.meta["number"]: result for result in done}
        exists = self.gx.expectations.ExpectColumnToExist
        if any("observed_value" not in done[n].result for n, (_, plan) in enumerate(plans) if plan[0] is not exists):
            with self.source.get_execution_engine().get_connection() as connection:
                connection.rollback()
            return None
        return [(done[n].success, done[n].result.get("observed_value")) for n in range(len(plans))]

    def explain(self, check, plan, observed):
        """Message, number of bad rows (None: not about rows), example key and remedy of a check that did not pass."""
        name, column, what, table = check["table"], check["column"], check["what"], self.tables[check["table"]]
        rows, example = self.offenders(name, plan[3]) if plan[3] else (None, None)
        if rows == 0 or (observed is None and what in COMPARED):
            return {"rows": 0}  # Great Expectations lets no value at all fail
        facts = check | {"rows": rows, "observed": observed or "no day", "as_of": self.as_of}
        facts |= {"yaml": table["yaml"], "suite": table["suite"]}
        if rows:
            facts |= {"share": f"{1 - observed:.1%}", "limit": f"{1 - check['at_least']:.1%}"}
        if column:
            facts["type"] = table["columns"][column]["data_type"]
        if what == "key is unique":
            facts["key"] = ", ".join(self.key(name))
        elif what == "values are readable":
            facts["why"] = self.why(name, column, plan[3])
        elif what == "required columns are present":
            facts["renamed"] = self.renamed(name, column)
        elif what in COMPARED:
            was, when = self.before[name, column]
            facts |= {
                "observed": observed,
                "was": was,
                "when": when,
                "times": observed / was,
                "change": observed / was - 1,
            }
        message, remedy = (text.format(**facts) for text in WORDS[what])
        return {"message": message, "rows": rows, "example": example, "what_to_do": remedy}

    def why(self, name, column, bad):
        """The commonest reason why values of a column cannot be read, with the remedy and without a value."""
        table, kind = self.tables[name], self.columns[name][column]
        reason = self.macros["why_not_typed"](column, table["columns"][column], table["source_name"], kind)
        found = self.query(
            f"select {reason} as reason from raw_import.{table['identifier']} where {bad} group by 1 order by count(*) desc, 1 limit 1"
        )
        return found[0][0].removeprefix(f"{column}: ") if found else "unknown"

    def offenders(self, name, bad):
        """(number of bad rows, a key among them): only a key column that is an id, and only what looks like one."""
        table, pick = self.tables[name], "null"
        ids = [
            key for key in table["config"]["meta"].get("key", []) if key.endswith("_id") and key in self.columns[name]
        ]
        if ids:
            # neither words nor addresses, and nothing in place of a person's id that may be a telephone number
            alike = "[A-Za-z0-9_.:#/-]*[0-9][A-Za-z0-9_.:#/-]*"
            number = "[0-9]{9,}" if ids[0] in PERSON_IDS else ""
            text = f"cast({ids[0]} as varchar)"
            fits = f"regexp_full_match({text}, '{alike}') and not regexp_full_match({text}, '{number}')"
            pick = f"min({text}) filter (where {bad} and {fits})"
        ((rows, found),) = self.query(f"select count(*) filter (where {bad}), {pick} from raw_import.{table['identifier']}")
        return rows, f"{ids[0]} {found}" if found else None

    def renamed(self, name, column):
        """What the missing column may be called now; other names are not shown, as a headless file has data there."""
        declared = self.tables[name]["columns"].values()
        found = self.found.names.get(self.tables[name]["identifier"], [])
        known = {
            spelling.lower() for c in declared for spelling in [c["name"], *c["config"]["meta"].get("aliases", [])]
        }
        new = [other for other in found if other.lower() not in known]
        if len(new) == len(found):
            return ", as all others are: does the file have a header line?"
        new = [other for other in new if not is_data(other)]
        alike = difflib.get_close_matches(column, new, n=1) or (new if len(new) == 1 else [])
        return f"; the file has a new column '{alike[0]}': was it renamed?" if alike else ""
