#!/usr/bin/env python3
"""The whole morning as one command: raw checks → build → audit → publish → record → export → purge → report.

Each step runs only after the one before ended well; the last good marts and exports stay whatever fails. What was done is
one row of the run log (LIFECYCLE_STATE/runs, mart `runs`). If the build or the audit stops the day and what is known of consent is
green, destinations are told who said no all the same. Whom raw data erases is kept in the state (erase.py); open erasures are named
at the end. A step's own output is in logs/daily/<run>/.

exit codes:
  0  done, or nothing to do              4   a drift alarm or a guard of the exporter blocked: look
  1  unexpected or a full disk           5   done; quarantine.csv lists withheld values
  2  usage, configuration or rights      75  busy: another run is at work, or raw files changed: try again
  3  raw data or marts are not right     130 interrupted
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import drift
import run_log
from common import (
    BLOCKED,
    BUSY,
    INTERRUPTED,
    OK,
    UNEXPECTED,
    USAGE,
    WITHHELD,
    WRONG,
    Problem,
    explained,
    fault,
    private,
    run_script,
)
from publish import add_schema, connect_green, only_one
from publish_noes import noes_of

PROJECT = Path(__file__).resolve().parents[1]
OUTCOMES = {OK: "done", WITHHELD: "withheld", BLOCKED: "blocked", INTERRUPTED: "interrupted"}


class Day:
    """One run. `facts` becomes its row of the run log."""

    def __init__(self, options, lock):
        self.options, self.state, self.lock = options, Path(options.state), lock
        self.raw = Path(os.environ.get("LIFECYCLE_RAW", PROJECT / "data/demo"))
        self.raw_files = seen(self.raw)
        self.run = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
        self.logs = Path(os.environ.get("DBT_LOG_PATH", PROJECT / "logs")) / "daily" / self.run
        self.target = Path(os.environ.get("DBT_TARGET_PATH", PROJECT / "target"))
        self.facts = {
            "run": self.run, "started_at": now(), "version": project_version(), "versions": run_log.versions(),
            "settings": run_log.settings(), "definitions": run_log.definitions(), "steps": {},
        }  # fmt: skip
        published = os.environ.get("LIFECYCLE_PUBLISHED", PROJECT / "published/customer_lifecycle.duckdb")
        self.places = {
            "warehouse": options.warehouse, "published": published, "state": self.state, "exports": options.out,
            "target": self.target, "log": self.logs, "raw": self.raw,
        }  # fmt: skip
        self.code = OK

    def steps(self):
        """(name, what it does) in order; the first that raises Problem ends the day."""
        return [
            ("raw checks", self.check_raw),
            ("build", self.build),
            ("audit", self.audit),
            ("publish", self.publish),
            ("record", lambda: self.script("record_state.py", "--schema", self.options.schema)),
            ("export", self.export),
            ("purge", lambda: self.script("export_audiences.py", "purge", "--out", self.options.out)),
            ("report", self.report),
        ]

    def check_raw(self):
        done = self.call("raw checks", [sys.executable, "scripts/validate_raw.py"])
        if done.returncode in (0, 1):
            return last_line(done.stdout)
        raise Problem(UNEXPECTED if done.returncode == 70 else code_of(done), first_stop(done) or last_line(done.stderr))

    def build(self):
        """Build; and again where raw data erases somebody whom the state did not know, so that this very day is clean of them."""
        said = self.build_once("build")
        done = self.call("erase", [sys.executable, "scripts/erase.py", "--from-build", "--json", "--out", self.options.out,
                                   "--schema", self.options.schema])  # fmt: skip
        if done.returncode:
            raise Problem(code_of(done), last_line(done.stderr))
        recorded = json.loads(done.stdout)["recorded"]
        return f"{self.build_once('build again')}; built twice: {recorded} erasures of the raw data are new" if recorded else said

    def build_once(self, name):
        started = time.time()
        done = self.call(name, [str(Path(sys.executable).with_name("dbt")), "--no-use-colors", "build"])
        results = self.results(started)
        changed = sorted({path for path, _ in self.raw_files ^ seen(self.raw)})
        if changed:
            more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
            raise Problem(BUSY, f"raw {changed[0]}{more}: it was replaced while it was read; run again when the export is done")
        counts = {status: sum(result == status for _, result in results) for status in ("pass", "warn", "fail", "error")}
        self.facts |= {"passed_tests": counts["pass"], "warned_tests": counts["warn"], "failed_tests": counts["fail"]}
        if done.returncode == 0:
            return f"{counts['pass']} tests passed, {counts['warn']} warned"
        known = fault(done.stdout + done.stderr, self.places)
        if known:
            raise known
        wrong = [name for name, status in results if status in ("fail", "error", "runtime error")]
        if wrong:
            more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
            raise Problem(WRONG, f"dbt build: {', '.join(wrong[:3])}{more} failed; `dbt retry` repeats them, the log has dbt's words")
        raise said_by_dbt(done.stdout)

    def results(self, started):
        """[(name, status)] of this build's nodes."""
        path = self.target / "run_results.json"
        if not path.exists() or path.stat().st_mtime < started - 1:
            return []
        return [(result["unique_id"].split(".")[2], result["status"]) for result in json.loads(path.read_text())["results"]]

    def audit(self):
        connection = connect_green(Path(self.options.warehouse), self.options.schema)
        try:
            schema = f'warehouse."{self.options.schema}"'
            (day,) = connection.execute(f"select as_of_date from {schema}.build_settings").fetchone()
            found = drift.headlines(connection, schema)
            raw_rows = connection.execute(f"select source || '.' || table_name, raw_rows from {schema}.source_tables").fetchall()
        finally:
            connection.close()
        self.facts |= {"as_of_date": day, "headlines": found, "raw_rows": dict(raw_rows)}
        before = run_log.last_good(self.state, day)
        if before is None:
            return "no earlier run to compare with"
        changed = drift.changed_definitions(before, self.facts["definitions"], self.facts["settings"])
        alarms = drift.alarms(before, found, (day - before["as_of_date"]).days, changed)
        self.facts["alarms"] = [alarm["line"] for alarm in alarms]
        stops = [alarm["line"] for alarm in alarms if alarm["level"] == "stop"]
        self.facts["accepted"] = self.options.accept_drift if stops else None
        if stops and not self.options.accept_drift:
            more = f" (and {len(stops) - 1} more)" if len(stops) > 1 else ""
            raise Problem(BLOCKED, f"{stops[0]}{more}. If it is right, run again with --accept-drift 'why'")
        return "; ".join(self.facts["alarms"]) or f"like {before['run']}"

    def publish(self):
        said = self.script("publish.py", "--schema", self.options.schema)
        self.facts["is_published"] = True
        return said

    def export(self):
        done = self.call("export", [sys.executable, "scripts/export_audiences.py", "run", "--json", "--out", self.options.out])
        try:
            result = json.loads(done.stdout)
        except ValueError:
            raise Problem(code_of(done), last_line(done.stderr)) from None
        records = result.get("manifest", {}).get("deliveries", {}).values()
        written = sum(node["waterfall"]["written"] for record in records for node in record["audiences"].values())
        if result["status"] == "published":
            self.facts |= {"exported_run": result["run"], "exported_rows": written}
        if done.returncode == WITHHELD:
            self.code = WITHHELD
        elif done.returncode:
            guards = "; ".join(f"guard {hit['guard']}: {hit['message']}" for hit in result.get("guards", []))
            raise Problem(code_of(done), result.get("message") or guards or "; ".join(result.get("notes", [])))
        return f"{result['status']}{f', {written:,} rows' if written else ''}"

    def report(self):
        done = self.call("report", [sys.executable, "scripts/report.py"])
        return last_line(done.stdout) if done.returncode == 0 else f"warning: no report; {last_line(done.stderr)}"

    def tell_noes(self):
        """Tell destinations who said no all the same, if what stopped the day says nothing against what is known of consent."""
        started, name = time.monotonic(), "who said no"
        try:
            self.script("publish_noes.py", "--schema", self.options.schema)
            done = self.call("noes", [sys.executable, "scripts/export_audiences.py", "run", "--noes-only", "--json",
                                      "--out", self.options.out, "--from", str(noes_of(Path(self.places["published"])))])  # fmt: skip
            result = json.loads(done.stdout or "{}")
            if done.returncode:
                raise Problem(code_of(done), result.get("message") or last_line(done.stderr))
            records, code = result["manifest"]["deliveries"].values(), OK
            listed = sum(file["rows"] for record in records for file in record["suppress"])
            removed = sum(node["changes"]["removed"] for record in records for node in record["audiences"].values())
            said = f"{result['status']}: {listed:,} suppressions, {removed:,} removals"
            if result["status"] == "published":
                said += f" in {result['run']}"
                self.facts |= {"exported_run": result["run"], "exported_rows": listed + removed}
        except Exception as error:
            problem = explained(error, self.places)
            said, code = f"nobody is told: {problem}", problem.code
        seconds = round(time.monotonic() - started, 1)
        self.facts["steps"][name] = {"seconds": seconds, "code": code, "said": said}
        self.say(besides=name, seconds=seconds, code=code, said=said)

    def name_erasures(self):
        """Bring the receipts of erasures up to date, however the day ended, and name those that are open."""
        if not any(self.state.glob("erasures/*.parquet")):
            return
        started, name = time.monotonic(), "erasures"
        try:
            done = self.call("receipts", [sys.executable, "scripts/erase.py", "receipts", "--out", self.options.out])
            if done.returncode:
                raise Problem(code_of(done), last_line(done.stderr))
            said, code = "; ".join(done.stdout.splitlines()), OK
        except (Exception, KeyboardInterrupt) as error:
            problem = explained(error, self.places)
            said, code = f"the receipts are not up to date: {problem}", problem.code
        self.code = self.code or code
        seconds = round(time.monotonic() - started, 1)
        self.facts["steps"][name] = {"seconds": seconds, "code": code, "said": said}
        self.say(besides=name, seconds=seconds, code=code, said=said)

    def script(self, name, *arguments):
        done = self.call(name.removesuffix(".py").split("_")[0] if "purge" not in arguments else "purge",
                         [sys.executable, f"scripts/{name}", *arguments])  # fmt: skip
        if done.returncode:
            raise Problem(code_of(done), last_line(done.stderr))
        return last_line(done.stdout)

    def call(self, name, command):
        """Run a program; what it says is kept in a private log.

        It holds the lock, too: should this one be killed, the next run waits for its end. And it has a session of its own,
        so that Ctrl-C reaches it once, through this one.
        """
        environment = os.environ | {"LIFECYCLE_STATE": str(self.state), "LIFECYCLE_WAREHOUSE": str(self.options.warehouse)}
        child = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 pass_fds=[self.lock.fileno()], start_new_session=True)  # fmt: skip
        try:
            stdout, stderr = child.communicate()
        except BaseException:
            child.send_signal(signal.SIGINT)
            child.communicate()
            raise
        self.logs.mkdir(parents=True, exist_ok=True)
        (self.logs / f"{name.replace(' ', '_')}.log").write_text(stdout + stderr)
        return subprocess.CompletedProcess(command, child.returncode, stdout, stderr)

    def live(self):
        """Run the steps, record the run, return the exit code."""
        names = [name for name, _ in self.steps()]
        for number, (name, step) in enumerate(self.steps(), start=1):
            self.say(step=name, number=number, of=len(names))
            started = time.monotonic()
            try:
                said, code = step(), OK
            except (Exception, KeyboardInterrupt) as error:
                problem = explained(error, self.places)
                said, code = str(problem), problem.code
            seconds = round(time.monotonic() - started, 1)
            self.facts["steps"][name] = {"seconds": seconds, "code": code, "said": said}
            self.say(step=name, seconds=seconds, code=code, said=said)
            if code:
                self.code = code
                self.facts |= {"failed_step": name, "message": said}
                if name in ("build", "audit") and code in (WRONG, BLOCKED):
                    self.tell_noes()
                left = names[number:]
                self.say(skipped=left) if left else None
                break
        if self.code != INTERRUPTED:
            self.name_erasures()
        for number in (signal.SIGINT, signal.SIGTERM):  # the day is over: whoever interrupts it now comes too late
            signal.signal(number, signal.SIG_IGN)
        self.facts |= {"ended_at": now(), "exit_code": self.code, "outcome": OUTCOMES.get(self.code, "failed")}
        try:
            run_log.append(self.state, self.facts)
        except Exception as error:
            problem = explained(error, self.places)
            self.code = self.code or problem.code
            print(f"daily: the run is not in the run log; {problem}", file=sys.stderr)
        self.say(run=self.run, outcome=self.facts["outcome"], exit_code=self.code)
        return self.code

    def say(self, **facts):
        if self.options.json:
            print(json.dumps(facts), flush=True)
        elif "besides" in facts:
            print(f"{'':<6}{facts['besides']:<12} {facts['seconds']:>7.1f} s  {facts['said']}", flush=True)
        elif "seconds" in facts:
            print(f"{facts['seconds']:>8.1f} s  {'' if not facts['code'] else 'STOPPED: '}{facts['said']}", flush=True)
        elif "step" in facts:
            print(f"[{facts['number']}/{facts['of']}] {facts['step']:<12}", end="", flush=True)
        elif "skipped" in facts:
            print(f"not run: {', '.join(facts['skipped'])}; the last good marts and exports stay", flush=True)
        else:
            print(f"{facts['outcome']}, exit code {facts['exit_code']}; run {facts['run']}", flush=True)


def default_state():
    """The demo has a state of its own, so that it never mixes with a real one (macro state_folder)."""
    is_demo = os.environ.get("LIFECYCLE_RAW", "data/demo") == "data/demo"
    return str(PROJECT / ("data/demo_state" if is_demo else "state"))


def now():
    return datetime.now(UTC).replace(tzinfo=None)


def project_version():
    return re.search(r'^version: "?([^"\s]+)', (PROJECT / "dbt_project.yml").read_text(), re.MULTILINE)[1]


def seen(folder):
    """{(path, (size, time of change))} of the raw files."""
    found = ((path, path.stat()) for path in folder.rglob("*") if path.is_file())
    return {(str(path.relative_to(folder)), (stat.st_size, stat.st_mtime_ns)) for path, stat in found}


def code_of(done):
    """The exit code of a program that did not end well, as one of the table."""
    return done.returncode if done.returncode in (USAGE, WRONG, BLOCKED, BUSY, INTERRUPTED) else UNEXPECTED


def last_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return re.sub(r"^\w+:\s+", "", lines[-1]) if lines else "it said nothing"


def first_stop(done):
    """The first finding of the raw checks that stops, as one line."""
    lines = done.stdout.splitlines()
    found = [number for number, line in enumerate(lines) if line.startswith("STOP")]
    if not found:
        return None
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return " ".join(" ".join(lines[found[0] : found[0] + 2]).removeprefix("STOP").split()) + more


def said_by_dbt(text):
    """What prepare_raw says, or dbt's own words, of a build that did not come to its models."""
    _, _, problems = text.partition("Compilation Error")
    lines = [line.strip() for line in problems.splitlines()[1:] if line.strip()]
    lines = lines[: next((number for number, line in enumerate(lines) if line.startswith("> in macro")), len(lines))]
    if lines:
        return Problem(WRONG, lines[0] + (f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""))
    return Problem(UNEXPECTED, "dbt did not come to an end; see its log")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--warehouse", default=os.environ.get("LIFECYCLE_WAREHOUSE", str(PROJECT / "warehouse/lifecycle.duckdb")))
    parser.add_argument("--state", default=os.environ.get("LIFECYCLE_STATE", default_state()))
    parser.add_argument("--out", default="exports", help="where the runs of the exporter are (default: %(default)s)")
    parser.add_argument("--accept-drift", metavar="WHY", help="go on although numbers moved more than they may; recorded")
    parser.add_argument("--json", action="store_true", help="a JSON document per step, for machines")
    add_schema(parser)
    options = parser.parse_args(arguments)
    private()
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    def live():
        Path(options.state).mkdir(parents=True, exist_ok=True)
        with only_one(Path(options.state), "daily") as lock:
            return Day(options, lock).live()

    return run_script("daily", live, state=options.state)


if __name__ == "__main__":
    sys.exit(main())
