"""Check the raw data with Great Expectations before dbt starts.

What is expected stands in models/staging/<adapter>/_<source>__expectations.yml; which columns, types and keys there are, in the source YAML of dbt.
Every expectation becomes one aggregate over a view of the raw file, in a scratch DuckDB file: a share of rows (0 to 1),
a number of rows, a mean or a day. No row comes into Python. Row counts and means are kept in LIFECYCLE_STATE/raw_checks,
one Parquet file per run, for the next run to compare with.

Exit codes: 0 all passed, or skipped on purpose; 1 warnings only, or Great Expectations is not installed; 2 usage;
3 stop: do not build; 70 unexpected. Nothing that is printed or written holds personal data: examples are ids.
"""

import argparse
import atexit
import csv
import datetime as dt
import difflib
import importlib.util
import json
import logging
import math
import os
import sys
import tempfile
import time
import traceback
from enum import Enum
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import jinja2
import yaml

import raw_files
from common import Problem, quoted
from raw_reader.tables import is_data

PROJECT = Path(__file__).resolve().parents[1]
MEMORY = "1GB"  # for DuckDB, which spills to disk beyond it; Python and Great Expectations take another 0.4 GB
FEW = 3  # so many bad rows warn but never stop: in a small file they are a large share
ENOUGH_KEYS = 1_000_000
PERSON_IDS = ("customer_id", "user_id", "contact_id")

# what can be expected: the line that says what is wrong, and what to do about it
WORDS = {
    "file": ("{text}", "export the file again"),
    "required columns are present": (
        "the required column is missing{renamed}",
        "restore it in the export, or add its new name under `aliases` in {yaml}",
    ),
    "has rows": ("the file has no rows", "was the export interrupted? export it again"),
    "values are filled": (
        "{rows:,} values ({share}) are missing, at most {limit} may be",
        "ask the owner of the export what changed",
    ),
    "values are readable": (
        "{rows:,} values ({share}) cannot be read as {type}, at most {limit} may be so; mostly: {why}",
        "look an example up; has the export changed its format?",
    ),
    "key is unique": (
        "{share} of the rows repeat the key {key} ({rows:,} rows share theirs), at most {limit} may",
        "was the export appended to itself, or are ids used twice? look an example up",
    ),
    "values are known": (
        "{rows:,} values ({share}) are none of the known ones, at most {limit} may be so",
        "look an example up; when somebody has explained the new value, name it in {suite}",
    ),
    "values refer": (
        "{rows:,} values ({share}) are not in {to}, at most {limit} may be so",
        "are the two exports of the same day? export both again",
    ),
    "is fresh": (
        "the latest value up to {as_of} is of {observed}: older than {days} days",
        "is the export running? If the data are old on purpose, set as_of_date",
    ),
    "row count is like last time": (
        "{observed:,} rows, {change:+.0%} against {was:,.0f} on {when:%Y-%m-%d}",
        "export it again; if it is right, run `.venv/bin/python scripts/validate_raw.py --accept` once",
    ),
    "mean is like last time": (
        "the mean {observed:,.2f} is {times:,.2f} times the {was:,.2f} of {when:%Y-%m-%d}",
        "has its unit or currency changed? If it is right, run `.venv/bin/python scripts/validate_raw.py --accept` once",
    ),
}
COMPARED = ("row count is like last time", "mean is like last time")
PARAMETERS = {
    "what",
    "table",
    "column",
    "severity",
    "reason",
    "at_least",
    "at_most",
    "days",
    "to",
    "values",
    "also_from",
}


def as_list(value):
    return value if isinstance(value, list) else [] if value is None else [value]


def expected_columns(entry, table):
    """The columns that an expectation is about, [None] for the whole table."""
    columns, what = table["columns"], entry["what"]
    if entry.get("column"):
        return [entry["column"]]
    if what == "values are readable":
        return [name for name in columns if columns[name]["data_type"] != "string"]
    wanted = {"required columns are present": "required", "values are filled": "not_null"}.get(what)
    if wanted:
        return [name for name in columns if columns[name]["config"]["meta"].get(wanted)]
    return [None] if what != "key is unique" or table["config"]["meta"].get("key") else []


def known_values(entry, variables, system):
    """The allowed values in lower case: `values`, and the column of a seed or the variable that `also_from` names.

    Of a seed that tells systems apart, only the rows of this one and those of all.
    """
    values = [*entry.get("values", [])]
    for origin, name in (place.split(".") for place in as_list(entry.get("also_from"))):
        if origin == "var":
            values.append(variables[name])
        else:
            (path,) = [*PROJECT.glob(f"seeds/{origin}.csv"), *PROJECT.glob(f"models/staging/*/{origin}.csv")]
            with path.open(newline="") as seed:
                values += [row[name] for row in csv.DictReader(seed) if row.get("source_system") in (None, "", system)]
    return sorted({str(value).strip().lower() for value in values})


def load_checks(tables, variables):
    """One check per expectation, table and column of the suites; Problem (2) if a suite cannot be understood."""
    checks = []
    for system, suite in {table["source_name"]: table["suite"] for table in tables.values()}.items():
        if not (PROJECT / suite).exists():
            raise Problem(2, f"source '{system}' has no suite: write {suite}, README says how")
        own = [name.split(".")[1] for name in tables if name.startswith(f"{system}.")]
        for number, entry in enumerate(yaml.safe_load((PROJECT / suite).read_text()), start=1):
            names = own if entry.get("table") == "all" else as_list(entry.get("table"))
            wrong = [f"unknown word '{word}'" for word in entry if word not in PARAMETERS]
            wrong += [f"no table '{name}'; there are {', '.join(own)}" for name in names if name not in own]
            if entry.get("what") not in WORDS:
                wrong.append(f"`what` must be one of: {', '.join([*WORDS][1:])}")
            if entry.get("severity") not in ("stop", "warn") or not entry.get("reason") or not names:
                wrong.append("a table, a severity (stop or warn) and a reason are needed")
            if wrong:
                raise Problem(2, f"{suite}, number {number}: {'; '.join(wrong)}")
            for name in names:
                for column in expected_columns(entry, tables[f"{system}.{name}"]):
                    if column and column not in tables[f"{system}.{name}"]["columns"]:
                        raise Problem(2, f"{suite}, number {number}: {name} has no column '{column}'")
                    place = {"table": f"{system}.{name}", "column": column, "values": known_values(entry, variables, system)}
                    checks.append(entry | place)
    return checks


class Gate:
    """One run over one raw folder. `before` is what previous_run returns; `results` and `measured` are what comes out."""

    def __init__(self, options, variables, before):
        self.as_of, self.before = options.as_of, before
        self.tables = raw_files.declared(PROJECT, options.sources)
        self.checks = load_checks(self.tables, variables)
        self.results, self.measured = [], []
        with tempfile.TemporaryDirectory(prefix="raw_checks_") as scratch:
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
    with duckdb.connect() as connection:
        connection.execute(
            "create table run (run_at timestamp, outcome varchar, is_demo boolean, "
            "table_name varchar, column_name varchar, value double)"
        )
        rows = [[now, outcome, is_demo, *row] for row in dict.fromkeys(measured) or [(None, None, None)]]
        connection.executemany("insert into run values (?, ?, ?, ?, ?, ?)", rows)
        connection.execute(f"copy run to {quoted(path.with_suffix('.partial'))} (format parquet)")
    os.replace(path.with_suffix(".partial"), path)


def show(report, options):
    """Print the findings and the summary line, or JSON, and write the page."""
    for result in report["results"] if not options.json else ():
        if result["outcome"] in ("stop", "warn"):
            where = ".".join(filter(None, (result["table"], result["column"])))
            example = f", such as {result['example']}" if result.get("example") else ""
            print(
                f"{result['outcome'].upper()}  {where:<26} {result['message']}{example}\n{'':<33}-> {result['what_to_do']}"
            )
    print(json.dumps(report, indent=1, default=str) if options.json else report["summary"])
    jinja = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page = jinja.from_string((PROJECT / "scripts" / "raw_checks.html.jinja").read_text()).render(report)
    options.html.parent.mkdir(parents=True, exist_ok=True)
    options.html.write_text(page, encoding="utf-8")


def validate(options, variables):
    """One run; returns the exit code."""
    start = time.monotonic()
    is_demo = (options.raw / ".demo_data").exists()  # a demo's numbers say nothing about real data in the same state
    if options.skip_validate:
        record(options.state, "skipped", is_demo)
        print(f"Raw checks: skipped on purpose; recorded in {options.state}/raw_checks")
        return 0
    if importlib.util.find_spec("great_expectations") is None:
        record(options.state, "not installed", is_demo)
        print("Raw checks: not run, Great Expectations is not installed; `make validate` installs it and runs them")
        return 1
    is_known = options.as_of is not None
    if not is_known:
        options.as_of = dt.datetime.now(ZoneInfo(variables["business_time_zone"])).date() - dt.timedelta(1)
    before = {} if options.accept else previous_run(options.state, is_demo)
    gate = Gate(options, variables, before)
    for result in gate.results:
        if result["what"] == "is fresh" and result["outcome"] == "stop" and not is_known:
            result["outcome"] = "warn"  # without as_of_date the build describes the latest day in the data
    count = {
        name: sum(r["outcome"] == name for r in gate.results) for name in ("passed", "warn", "stop", "not checked")
    }
    outcome, code = ("stopped", 3) if count["stop"] else ("warnings", 1) if count["warn"] else ("passed", 0)
    record(options.state, "accepted" if options.accept and code < 3 else outcome, is_demo, gate.measured)
    summary = (
        f"Raw checks: {count['passed']} passed, {count['warn']} warnings, {count['stop']} stops, "
        f"{count['not checked']} not checked; {len(gate.columns)} tables as of {options.as_of}, "
        f"{time.monotonic() - start:.1f} s; {options.html}"
    )
    order = ["stop", "warn", "not checked", "passed"]
    results = sorted(gate.results, key=lambda result: order.index(result["outcome"]))
    facts = {"as_of": str(options.as_of), "sources": options.sources, "outcome": outcome, "counts": count}
    show(facts | {"summary": summary, "results": results}, options)
    return code


def main(arguments=None):
    variables = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"]
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    for name, default in (("raw", "data/demo"), ("state", "state")):
        parser.add_argument(f"--{name}", type=Path, default=os.environ.get(f"LIFECYCLE_{name.upper()}", default))
    parser.add_argument("--sources", help="such as shop,app; default: the variable sources")
    parser.add_argument("--as-of", help="YYYY-MM-DD, last complete day; default: the variable as_of_date, or yesterday")
    parser.add_argument("--html", type=Path, default=Path("target/raw_checks.html"), help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print all results as JSON instead of the findings")
    parser.add_argument("--accept", action="store_true", help="take this run's counts and means as the new normal")
    parser.add_argument("--skip-validate", action="store_true", help="check nothing, and record that")
    options = parser.parse_args(arguments)
    options.sources = options.sources.split(",") if options.sources else variables["sources"]
    try:
        as_of = options.as_of or variables["as_of_date"]
        try:
            options.as_of = dt.date.fromisoformat(str(as_of)) if as_of else None
        except ValueError:
            raise Problem(2, f"--as-of: '{as_of}' is not a date; write it as YYYY-MM-DD") from None
        return validate(options, variables | {"sources": options.sources})
    except Problem as problem:
        print(f"validate_raw: {problem}", file=sys.stderr)
        return problem.code
    except Exception as error:
        # where and of what kind, but not the message: it may quote a value
        print(f"validate_raw: unexpected {type(error).__name__}", *traceback.format_tb(error.__traceback__), sep="\n", file=sys.stderr)
        return 70  # not Python's own 1, which means warnings here


if __name__ == "__main__":
    sys.exit(main())
