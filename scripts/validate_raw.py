"""Check the raw data with Great Expectations before dbt starts.

What is expected stands in models/staging/<adapter>/_<source>__expectations.yml; which columns, types and keys there are, in the source YAML of dbt.
Every expectation becomes one aggregate over a view of the raw file, in a scratch DuckDB file: a share of rows (0 to 1),
a number of rows, a mean or a day. No row comes into Python. Row counts and means are kept in LIFECYCLE_STATE/raw_checks,
one Parquet file per run, for the next run to compare with.

Exit codes: 0 all passed, or skipped on purpose; 1 warnings only, or Great Expectations is not installed; 2 usage;
3 stop: do not build; 70 unexpected. Nothing that is printed or written holds personal data: examples are ids.
"""

import argparse
import datetime as dt
import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from zoneinfo import ZoneInfo

import jinja2
import yaml

from common import USAGE, Problem, private, run_script, written_whole
from raw_checks import Gate, previous_run, record

PROJECT = Path(__file__).resolve().parents[1]


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
    page = jinja.from_string((PROJECT / "scripts" / "raw_checks" / "page.html.jinja").read_text()).render(report)
    options.html.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(options.html) as partial:
        partial.write_text(page, encoding="utf-8")


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
    private()

    def check():
        as_of = options.as_of or variables["as_of_date"]
        try:
            options.as_of = dt.date.fromisoformat(str(as_of)) if as_of else None
        except ValueError:
            raise Problem(USAGE, f"--as-of: '{as_of}' is not a date; write it as YYYY-MM-DD") from None
        return validate(options, variables | {"sources": options.sources})

    # 1 means warnings here
    return run_script("validate_raw", check, unexpected=70, raw=options.raw, state=options.state, page=options.html)


if __name__ == "__main__":
    sys.exit(main())
