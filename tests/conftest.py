"""Shared fixtures: real builds of the project into temporary warehouses."""

import csv
import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

import shop_answers
from compiled_texts import compile_project
from support import DEMO, PARSED, PROJECT, Warehouse, dbt, script, shared_data


def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):
        shutil.rmtree(PARSED, ignore_errors=True)


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    """A function that builds the project from a raw folder and returns the warehouse."""
    opened = []

    def run(raw, **variables):
        path = tmp_path_factory.mktemp("warehouse") / "lifecycle.duckdb"
        dbt("build", raw=raw, warehouse=path, variables=variables)
        opened.append(Warehouse(path))
        return opened[-1]

    yield run
    for warehouse in opened:
        warehouse.connection.close()


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """The text of every model and data test, for DuckDB, for Spark, and without what differs."""
    return compile_project(tmp_path_factory.mktemp("compiled"))


@pytest.fixture(scope="session")
def demo_raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "raw"
    done = script("generate_demo_data.py", "--as-of", DEMO["as_of_date"], "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def demo_warehouse(demo_raw, tmp_path_factory):
    """A green build of everything on the demo data, unit tests included."""
    path = tmp_path_factory.mktemp("demo_warehouse") / "lifecycle.duckdb"
    done = dbt("build", "--selector", "everything", raw=demo_raw, warehouse=path, variables=DEMO)
    assert "WARN" not in done.stdout.replace("WARN=0", ""), "dbt warns of something"
    return path


@pytest.fixture(scope="session")
def published_demo(demo_warehouse, tmp_path_factory):
    """The published file of demo_warehouse."""
    path = tmp_path_factory.mktemp("published_demo") / "customer_lifecycle.duckdb"
    done = script("publish.py", "--warehouse", demo_warehouse, "--published", path)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="session")
def demo_shop(demo_raw, demo_warehouse):
    """What plain Python reads from the demo's raw files; the thresholds are those of the store's own gaps."""
    with duckdb.connect(str(demo_warehouse), read_only=True) as connection:
        query = "select at_risk_after_days, lapsed_after_days from marts.stage_thresholds"
        ((at_risk, lapsed),) = connection.execute(query).fetchall()
    as_of = date.fromisoformat(DEMO["as_of_date"])
    return shop_answers.demo_shop(demo_raw, PROJECT, as_of, DEMO["business_time_zone"], at_risk=at_risk, lapsed=lapsed)


@pytest.fixture(scope="session")
def truth():
    """The figures that every layout of the sample shop must give, money as decimals."""
    figures = json.loads((shared_data("sources") / "truth.json").read_text())
    return figures | {name: Decimal(figures[name]) for name in ("gross", "discount", "refunded", "net")}


@pytest.fixture(scope="session")
def cdnow_orders():
    """The CDNOW sample as it ships in the package lifetimes (only its data are used)."""
    spec = importlib.util.find_spec("lifetimes")
    if spec is None:
        pytest.skip("the package lifetimes is not installed: pip install --no-deps lifetimes==0.11.3")
    path = Path(spec.submodule_search_locations[0]) / "datasets" / "CDNOW_sample.txt"
    rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
    return [(row[0], date.fromisoformat(row[2]), Decimal(row[4])) for row in rows]


@pytest.fixture(scope="session")
def cdnow_raw(cdnow_orders, tmp_path_factory):
    raw = tmp_path_factory.mktemp("cdnow")
    with (raw / "orders.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["customer_id", "ordered_at", "amount"])
        writer.writerows(cdnow_orders)
    return raw


@pytest.fixture(scope="module")
def server():
    """The environment for clients of a PostgreSQL of the test's own: a socket in a private folder, no network."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin")) or [Path(shutil.which("initdb") or "").parent]
    if not (binaries[-1] / "initdb").exists() or not shutil.which("psql"):
        pytest.skip("no PostgreSQL server here (Debian package postgresql-15)")
    # PostgreSQL refuses to run as root
    owner = {"user": "nobody"} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    if owner:
        shutil.chown(folder, "nobody")
    control = {"cwd": folder, "check": True, "stdout": subprocess.DEVNULL, **owner}
    data = folder / "data"
    subprocess.run([binaries[-1] / "initdb", "-D", data, "-A", "trust", "-U", "owner", "-E", "UTF8", "-N"], **control)
    settings = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    start = [binaries[-1] / "pg_ctl", "-D", data, "-w", "-o", settings, "-l", folder / "log"]
    subprocess.run([*start, "start"], **control)
    yield {"PGHOST": str(folder), "PGUSER": "owner", "PGDATABASE": "postgres"}
    subprocess.run([binaries[-1] / "pg_ctl", "-D", data, "-m", "immediate", "stop"], **control)
    shutil.rmtree(folder)
