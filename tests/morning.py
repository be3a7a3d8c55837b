"""A shop, and everything that scripts/daily.py writes, in a folder of its own."""

import json
import os
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import duckdb

from support import PROJECT, checksums, script

YESTERDAY = datetime.now(ZoneInfo("Europe/Berlin")).date() - timedelta(1)  # where the demo does its business
# the program with a part of its steps: what is before them was done by an earlier run
ONLY = """
import sys, daily
only, steps = sys.argv.pop(1), daily.Day.steps
daily.Day.steps = lambda day: [step for step in steps(day) if step[0] in only.split(",")]
sys.exit(daily.main(sys.argv[1:]))
"""


class Morning:
    """One such folder."""

    def __init__(self, folder):
        self.folder = folder
        self.published = folder / "published/customer_lifecycle.duckdb"
        self.places = {
            "LIFECYCLE_RAW": folder / "raw",
            "LIFECYCLE_WAREHOUSE": folder / "warehouse/lifecycle.duckdb",
            "LIFECYCLE_STATE": folder / "state",
            "LIFECYCLE_PUBLISHED": self.published,
            "DBT_TARGET_PATH": folder / "target",
            "DBT_LOG_PATH": folder / "logs",
        }
        self.places["LIFECYCLE_WAREHOUSE"].parent.mkdir(parents=True)

    def live(self, *options):
        return script("daily.py", "--json", "--out", self.folder / "exports", *options, **self.places)

    def start(self, only=None, **environment):
        """The program in the background; only: one of its steps."""
        program = [PROJECT / "scripts/daily.py"] if only is None else ["-c", ONLY, only]
        environment = self.places | environment | {"PYTHONPATH": PROJECT / "scripts"}
        return subprocess.Popen(
            [sys.executable, *program, "--json", "--out", self.folder / "exports"], cwd=PROJECT, text=True, start_new_session=True,
            env=os.environ | {key: str(value) for key, value in environment.items()}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, only, **environment):
        child = self.start(only, **environment)
        stdout, stderr = child.communicate()
        return subprocess.CompletedProcess(child.args, child.returncode, stdout, stderr)

    def copy(self, folder):
        """The same morning in another folder; the marts that were published before can be told from those that will be."""
        other = Morning(folder)
        for name in ("raw", "state", "published", "warehouse", "target", "exports"):
            shutil.copytree(self.folder / name, folder / name, dirs_exist_ok=True)
        with duckdb.connect(str(other.published)) as marts:
            marts.execute("delete from marts.customers where person_id = (select min(person_id) from marts.customers)")
        return other

    def marts(self):
        """What is published, but for the log of runs."""
        return {mart: found for mart, found in checksums(self.published).items() if mart != "runs"}

    def check_state(self):
        """Every file of the state is whole, and nothing is said twice."""
        with duckdb.connect() as con:
            for table, key in (("runs", "run"), ("audience_events", "as_of_date, audience, event, person_id"),
                               ("raw_checks", "filename, table_name, column_name, value")):  # fmt: skip
                files = f"read_parquet('{self.folder}/state/{table}/*.parquet', union_by_name = true, filename = true)"
                count, keys = con.execute(f"select count(*), count(distinct ({key})) from {files}").fetchone()
                assert count == keys > 0, table
            for path in (self.folder / "state/deliveries/ledger").glob("*.parquet"):
                con.execute(f"select count(*) from read_parquet('{path}')")
        events = [json.loads(path.read_text()) for path in (self.folder / "state/deliveries/ledger").glob("[0-9]*.json")]
        published = [event["run"] for event in events if event["event"] == "published"]
        assert len(set(published)) == len(published)
        for folder in (self.folder / "exports").glob("2*"):
            assert json.loads((folder / "manifest.json").read_text())["run"] in published

    def runs(self):
        with duckdb.connect() as connection:
            rows = connection.execute(
                f"select outcome, exit_code, failed_step from read_parquet('{self.folder}/state/runs/*.parquet') order by run"
            )
            return rows.fetchall()
