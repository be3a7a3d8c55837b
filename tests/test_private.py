"""What is written is its owner's alone: by make's dbt, in temporary folders, and, where it was open, after the next publish."""

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time

import duckdb
import pytest

import common
from support import PROJECT, script


def test_every_promise_names_a_test_that_is_there():
    page = (PROJECT / "SECURITY.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(named) > 20
    assert [f"{path}::{name}" for path, name in named if f"def {name}(" not in (PROJECT / path).read_text()] == []


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


HOLD = """
import sys, time
from pathlib import Path
from common import temporary_folder
with temporary_folder("lifecycle_test_", sys.argv[1]) as folder:
    (folder / "rows.csv").write_text("somebody@example.com")
    print(folder, flush=True)
    time.sleep(60)
"""


def hold(place):
    command = [sys.executable, "-c", HOLD, str(place)]
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "scripts")}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    child.folder = place / child.stdout.readline().strip().rsplit("/", 1)[-1]
    return child


def test_the_temporary_folder_of_a_killed_run_goes_with_the_next_and_that_of_a_living_one_stays(tmp_path):
    killed, alive = hold(tmp_path), hold(tmp_path)
    try:
        killed.kill()
        killed.wait()
        assert mode(killed.folder) == 0o700 and (killed.folder / "rows.csv").exists()
        (tmp_path / "lifecycle_other").mkdir()
        with common.temporary_folder("lifecycle_test_", tmp_path) as own:
            assert {path.name for path in tmp_path.iterdir()} == {alive.folder.name, own.name, "lifecycle_other"}
            assert (alive.folder / "rows.csv").exists() and mode(own) == 0o700
        assert not own.exists()
        alive.send_signal(signal.SIGINT)
        alive.wait()
        assert not alive.folder.exists(), "an interrupted run cleans up itself"
    finally:
        alive.kill()


def test_a_link_in_the_place_of_a_temporary_folder_is_left_alone(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "lifecycle_test_link").symlink_to(tmp_path / "precious")
    with common.temporary_folder("lifecycle_test_", tmp_path):
        pass
    assert (tmp_path / "precious").exists()


def test_the_raw_checks_remove_what_a_killed_one_left(tmp_path):
    """Its folder holds a copy of the raw rows."""
    scratch, page = tmp_path / "tmp", tmp_path / "page/raw_checks.html"
    scratch.mkdir()
    command = [sys.executable, PROJECT / "scripts/validate_raw.py", "--sources", "orders_file", "--html", page]
    command += ["--raw", PROJECT / "tests/fixtures/orders", "--state", tmp_path / "state"]
    about = {"env": os.environ | {"TMPDIR": str(scratch)}, "cwd": PROJECT, "stdout": subprocess.PIPE, "text": True}
    child = subprocess.Popen(command, **about)
    deadline = time.monotonic() + 60
    while not list(scratch.glob("lifecycle_raw_checks_*")) and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    child.kill()
    child.wait()
    left = list(scratch.glob("lifecycle_raw_checks_*"))
    if not left:
        pytest.skip("the checks did not run: Great Expectations is not installed")
    done = subprocess.run(command, umask=0, **about)
    assert done.returncode in (0, 1), done.stdout
    assert not list(scratch.glob("lifecycle_*"))
    assert (mode(page.parent), mode(page)) == (0o700, 0o600)


def test_make_runs_dbt_so_that_what_it_writes_is_private(tmp_path):
    """The recipes themselves, with a dbt that writes a file and a folder as dbt does."""
    shutil.copy(PROJECT / "Makefile", tmp_path)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/core.lock").touch()
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for name, text in {"dbt": 'mkdir -p target && echo "$@" > "target/$1$2"', "python": "exit 0"}.items():
        program = tmp_path / ".venv/bin" / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    (tmp_path / ".venv/core").touch()
    for goal, written in (("build", "build"), ("docs", "--quietdocs")):
        shutil.rmtree(tmp_path / "target", ignore_errors=True)
        done = subprocess.run(["make", goal], cwd=tmp_path, capture_output=True, text=True, umask=0)
        assert done.returncode == 0, done.stderr
        assert mode(tmp_path / "target") == 0o700 and mode(tmp_path / "target" / written) == 0o600
    recipes = re.findall(r"^\t.*\$\(BIN\)/dbt .*", (tmp_path / "Makefile").read_text(), re.MULTILINE)
    assert len(recipes) == 2 and all("umask 077 && $(BIN)/dbt" in recipe for recipe in recipes)


@pytest.fixture
def by_dbt(tmp_path):
    """What a dbt without make leaves: all open; and beside it a file that somebody opened on purpose."""
    for name in ("warehouse/lifecycle.duckdb.tmp/0", "target/run/a.sql", "logs/dbt.log", "published/customer_lifecycle.duckdb"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("somebody@example.com")
    duckdb.connect(str(tmp_path / "warehouse/lifecycle.duckdb")).close()
    for path in tmp_path.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return tmp_path


def publish(folder):
    files = ("--warehouse", folder / "warehouse/lifecycle.duckdb", "--published", folder / "published/customer_lifecycle.duckdb")
    return script("publish.py", *files, DBT_TARGET_PATH=folder / "target", DBT_LOG_PATH=folder / "logs")


def test_publish_makes_private_what_dbt_left_open_and_names_it_once(by_dbt):
    said = publish(by_dbt).stderr
    (line,) = [line for line in said.splitlines() if line.startswith("publish: warning")]
    assert all(str(by_dbt / name) in line for name in ("warehouse", "target", "logs")) and "somebody" not in said
    paths = [path for name in ("warehouse", "target", "logs") for path in (by_dbt / name, *(by_dbt / name).rglob("*"))]
    assert {(path.is_dir(), mode(path)) for path in paths} == {(True, 0o700), (False, 0o600)}
    assert mode(by_dbt / "published/customer_lifecycle.duckdb") == 0o644, "opened on purpose"
    (by_dbt / "warehouse").chmod(0o755)  # as git makes it
    assert "warning" not in publish(by_dbt).stderr
    assert mode(by_dbt / "warehouse") == 0o700


def test_a_folder_that_holds_other_things_is_not_closed(by_dbt):
    (by_dbt / "warehouse/somebody_elses.txt").touch()
    (by_dbt / "warehouse/somebody_elses.txt").chmod(0o644)
    publish(by_dbt)
    assert mode(by_dbt / "warehouse") == 0o755 and mode(by_dbt / "warehouse/lifecycle.duckdb") == 0o600
    assert mode(by_dbt / "warehouse/somebody_elses.txt") & 0o044
