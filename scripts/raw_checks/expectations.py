"""What to expect of the raw tables: the suites of the adapters, and the words for what is wrong."""

import csv
from pathlib import Path

import yaml

from common import Problem

PROJECT = Path(__file__).resolve().parents[2]

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
