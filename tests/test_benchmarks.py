"""What docs/benchmark.md compares is the same: eight marts by hand, and other tools' answers."""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def lines(*words):
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_floor_has_the_rows_of_the_marts(demo_raw, demo_warehouse):
    (answer,) = lines(BENCHMARKS / "floor.py", demo_raw, "--marts", demo_warehouse)
    assert len(answer["differing"]) == 8 and not any(answer["differing"].values()), answer["differing"]


def test_other_tools_have_the_same_answer(demo_warehouse):
    """The benchmark ends where two answers differ; sqlite comes with Python."""
    found = lines(BENCHMARKS / "peers.py", demo_warehouse, "--tools", "duckdb", "sqlite", "--repeat", 1)
    assert [one["tool"] for one in found] == ["duckdb", "sqlite"]
