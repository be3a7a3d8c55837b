"""Write the report: the published marts as one HTML page for people.

Reads the published file only, and of it only marts about groups of people, never one about single people. The page needs
no network and no script. It has no clock but the as-of date: the same marts give the same bytes.

Exit codes: 0 written, 1 unexpected, 2 usage, 3 the marts are missing or do not hold what the report needs, 75 the
published file is being written by another program: try again.
"""

import argparse
import os
import sys
import webbrowser
from pathlib import Path

from common import USAGE, Problem, private, run_script, written_whole
from lifecycle_report import read, render


def write(page, out):
    """Swap the page in whole; private to its owner unless an earlier one has been opened to others."""
    private()
    out.parent.mkdir(parents=True, exist_ok=True)
    mode = out.stat().st_mode & 0o777 if out.exists() else 0o600
    with written_whole(out) as partial:
        partial.write_text(page, encoding="utf-8", newline="\n")
        os.chmod(partial, mode)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    published = os.environ.get("LIFECYCLE_PUBLISHED", "published/customer_lifecycle.duckdb")
    parser.add_argument("--from", type=Path, dest="published", default=published, help="the published marts")
    parser.add_argument("--out", type=Path, help="the page; report.html beside the published marts without it")
    parser.add_argument("--open", action="store_true", help="open it in the browser")
    options = parser.parse_args(arguments)
    out = options.out or options.published.with_name("report.html")

    def make():
        if out.is_dir():
            raise Problem(USAGE, f"--out {out} is a folder; name a file")
        write(render(read(options.published)), out)
        print(f"Report:         {out} ({out.stat().st_size / 1000:.0f} kB)")
        if options.open:
            webbrowser.open(out.resolve().as_uri())

    return run_script("report", make, published=options.published, page=out)


if __name__ == "__main__":
    sys.exit(main())
