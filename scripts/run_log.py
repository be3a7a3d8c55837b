"""The run log: one Parquet file per run of scripts/daily.py in LIFECYCLE_STATE/runs, only ever added.

The mart `runs` shows it. Facts that have a shape of their own (settings, rows per table, headline numbers, steps) are JSON texts.
"""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import duckdb
import yaml

from common import quoted, written_whole

PROJECT = Path(__file__).resolve().parents[1]
COLUMNS = {
    "run": "varchar", "started_at": "timestamp", "ended_at": "timestamp", "outcome": "varchar", "exit_code": "integer",
    "failed_step": "varchar", "message": "varchar", "version": "varchar", "versions": "varchar", "as_of_date": "date",
    "settings": "varchar", "definitions": "varchar", "raw_rows": "varchar", "headlines": "varchar", "passed_tests": "integer",
    "warned_tests": "integer", "failed_tests": "integer", "alarms": "varchar", "exported_run": "varchar", "exported_rows": "bigint",
    "steps": "varchar", "accepted": "varchar", "is_published": "boolean",
}  # fmt: skip


def definitions():
    """{kind: digest} of what decides the numbers: models, macros, seeds; and the variables themselves."""
    found = {}
    for kind in ("models", "macros", "seeds"):
        digest = hashlib.sha256()
        for path in sorted((PROJECT / kind).rglob("*")):
            if path.suffix in (".sql", ".yml", ".csv"):
                digest.update(f"{path.relative_to(PROJECT)}\n".encode() + path.read_bytes())
        found[kind] = digest.hexdigest()[:16]
    return found


def settings():
    """The variables of dbt_project.yml."""
    return yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"]


def versions():
    return {name: version(name) for name in ("dbt-core", "dbt-duckdb", "duckdb")}


def append(state, facts):
    """Add one run: complete, durable, and only then visible under its name."""
    folder = Path(state) / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{facts['run']}.parquet"
    for left in folder.glob("*.partial"):
        left.unlink()
    values = [json.dumps(value, default=str) if isinstance(value := facts.get(name), dict | list) else value for name in COLUMNS]
    selected = ", ".join(f"cast(? as {kind}) as {name}" for name, kind in COLUMNS.items())
    with written_whole(target) as partial, duckdb.connect() as connection:
        connection.execute(f"create table run as select {selected}", values)
        connection.execute(f"copy run to {quoted(partial)} (format parquet)")


def last_good(state, as_of_date):
    """The newest run of this day or an earlier one whose marts were published, as a dict; None before the first."""
    files = Path(state) / "runs" / "*.parquet"
    if not list(files.parent.glob("*.parquet")):
        return None
    with duckdb.connect() as connection:
        cursor = connection.execute(
            f"from read_parquet({quoted(files)}, union_by_name = true) "
            "where is_published and as_of_date <= ? order by run desc limit 1",
            [as_of_date],
        )
        row = cursor.fetchone()
        names = [column[0] for column in cursor.description]
    return row and dict(zip(names, row, strict=True))
