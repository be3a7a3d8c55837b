"""What the tests share: real builds of the project in processes of their own, and the warehouses they make."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

PROJECT = Path(__file__).resolve().parents[1]
SHARED = PROJECT.parent / "shared" / "data"
DEMO = {"as_of_date": "2026-06-30", "business_time_zone": "Europe/Berlin"}
# made by one session of tests and gone after it
PARSED = PROJECT / ".pytest_cache" / "parsed"
NO_UNIT_TESTS = ("--exclude-resource-type", "unit_test")
# the marts that may hold what names or reaches somebody; all others know people by their ids alone
MARTS_WITH_ADDRESSES = {"customers", "suppression_list"}


def dbt(*arguments, raw, warehouse, variables=None, check=True, project=PROJECT, **environment):
    """Run dbt in a process of its own (it would keep the warehouse locked) and return the finished process."""
    command = [Path(sys.executable).with_name("dbt"), "--no-use-colors", *arguments]
    if variables:
        command += ["--vars", json.dumps(variables)]
    target = Path(warehouse).with_suffix(".target")
    parsed = None if project != PROJECT or environment else Parsed(Path(warehouse), variables)
    if parsed:
        parsed.take(target)
    done = subprocess.run(
        command,
        cwd=project,
        env=os.environ
        | {
            "LIFECYCLE_RAW": str(raw),
            "LIFECYCLE_WAREHOUSE": str(parsed.link if parsed else warehouse),
            "LIFECYCLE_STATE": str(Path(warehouse).with_suffix(".state")),
            "DBT_TARGET_PATH": str(target),
            "DBT_LOG_PATH": str(Path(warehouse).with_suffix(".logs")),
        }
        | environment,
        capture_output=True,
        text=True,
    )
    if parsed:
        parsed.keep(target)
    if check and done.returncode:
        pytest.fail(f"dbt {' '.join(arguments)} failed:\n{done.stdout[-4000:]}")
    return done


class Parsed:
    """What dbt parsed with the same variables, which is half of the time of a small build.

    dbt takes it up only if files, variables and the path of the warehouse are the same; so the path is that of a link.
    """

    def __init__(self, warehouse, variables):
        about = json.dumps([warehouse.name, variables], sort_keys=True, default=str)
        worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
        self.kept = PARSED / worker / hashlib.sha256(about.encode()).hexdigest()[:16] / "partial_parse.msgpack"
        self.link = self.kept.with_name(warehouse.name)
        self.warehouse = warehouse.absolute()

    def take(self, target):
        self.link.parent.mkdir(parents=True, exist_ok=True)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(self.warehouse)
        target.mkdir(parents=True, exist_ok=True)
        if self.kept.exists():
            shutil.copy(self.kept, target)

    def keep(self, target):
        made = target / self.kept.name
        if made.exists():
            shutil.copy(made, self.kept)


def script(name, *arguments, project=PROJECT, **environment):
    """Run one of scripts/ in a process of its own and return the finished process."""
    return subprocess.run(
        [sys.executable, project / "scripts" / name, *map(str, arguments)],
        env=os.environ | {key: str(value) for key, value in environment.items()},
        capture_output=True,
        text=True,
        cwd=project,
    )


def checksums(path):
    """A checksum of every mart of a DuckDB file."""
    with duckdb.connect(str(path), read_only=True) as connection:
        tables = connection.execute(
            "select table_name from information_schema.tables where table_schema = 'marts' order by 1"
        ).fetchall()
        return {table: checksum(connection, f"marts.{table}") for (table,) in tables}


def share_key(warehouse, other):
    """Let a build hash with the key of another one: what is hashed with it is then the same."""
    source, target = (Path(path).with_suffix(".state") / "key" for path in (warehouse, other))
    target.parent.mkdir(exist_ok=True)
    shutil.copy(source, target)


def checksum(connection, relation):
    """Rows and checksum of a mart, which depend on its rows, and not on their order or the age of the raw files."""
    return connection.execute(
        f"select count(*), md5(string_agg(row_text, '|' order by row_text)) from (select cast(mart as varchar) as row_text "
        f"from (select columns(lambda name: name != 'loaded_at') from {relation}) as mart)"
    ).fetchone()


class Warehouse:
    """A built warehouse to query."""

    def __init__(self, path):
        self.path = path
        self.connection = duckdb.connect(str(path), read_only=True)

    def rows(self, query):
        return self.connection.execute(query).fetchall()

    def row(self, query):
        (row,) = self.rows(query)
        return row

    def dicts(self, query):
        cursor = self.connection.execute(query)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def shared_case(name):
    """A raw folder of ../shared/cases, or a skip."""
    folder = SHARED.parent / "cases" / name
    if not folder.exists():
        pytest.skip(f"the case {name} is not beside this project")
    return folder


def shared_data(name):
    """A folder of real data with references, or a skip that says what is missing."""
    folder = SHARED / name
    if not folder.exists():
        pytest.skip(f"the reference data {name} are not beside this project")
    return folder


def write(folder, files):
    """Files below a folder: {name: text or bytes}."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


@contextmanager
def mounted(folder, fault):
    """What is in the folder on a small file system that is full or read-only."""
    size = sum(path.stat().st_size + 8192 for path in folder.rglob("*")) + (1 << 19)
    copy = folder.with_name(folder.name + "-before")
    shutil.copytree(folder, copy)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here (it needs root)")
    try:
        shutil.copytree(copy, folder, dirs_exist_ok=True)
        if fault == "full":
            with (folder / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
                while True:
                    filler.write(bytes(1 << 12))
        else:
            subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        shutil.rmtree(copy)
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
