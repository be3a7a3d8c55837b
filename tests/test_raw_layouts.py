"""The same shop as one Parquet file per table, as parts, JSON lines, CSV, in a DuckDB file and in PostgreSQL: the same marts."""

import gzip
import os
import shutil
import subprocess

import duckdb
import pytest
import yaml

from support import DEMO, PROJECT, checksums, dbt, script

POSTGRES_TYPES = {"VARCHAR": "text", "DOUBLE": "double precision", "TIMESTAMP WITH TIME ZONE": "timestamptz"}


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("layouts") / "raw"
    options = ("--customers", 120, "--years", 2, "--as-of", DEMO["as_of_date"], "--out", folder)
    assert script("generate_demo_data.py", *options).returncode == 0
    return folder


@pytest.fixture(scope="module")
def marts(tmp_path_factory):
    """A function that builds everything and returns a checksum of every mart."""
    folder = tmp_path_factory.mktemp("marts")

    def build(name, raw, databases=None, chosen=None):
        profiles = folder / name
        profiles.mkdir()
        profile = yaml.safe_load((PROJECT / "profiles.yml").read_text())
        output = profile["customer_lifecycle"]["outputs"]["duckdb"]
        output["module_paths"] = [str(PROJECT / "scripts")]
        output["plugins"][0]["config"] = {"databases": databases or {}}
        (profiles / "profiles.yml").write_text(yaml.safe_dump(profile))
        warehouse = profiles / "lifecycle.duckdb"
        key = warehouse.with_suffix(".state") / "key"  # one for all: it is in the hashes of erased people
        key.parent.mkdir()
        key.write_text("5e" * 32)
        dbt(
            "build", "--exclude-resource-type", "test", "--exclude-resource-type", "unit_test", "--profiles-dir", str(profiles),
            raw=raw, warehouse=warehouse, variables=DEMO | {"raw_databases": chosen or {}},
        )  # fmt: skip
        return checksums(warehouse)

    return build


@pytest.fixture(scope="module")
def plain(raw, marts):
    found = marts("plain", raw)
    assert len(found) > 30 and found["orders"][0] > 300
    return found


def rows(raw, table):
    return f"read_parquet('{raw / table}.parquet')"


def test_parts_json_lines_and_an_attached_file_give_the_same_marts(raw, plain, marts, tmp_path):
    with duckdb.connect(str(tmp_path / "loader.duckdb")) as loader:
        loader.execute("create schema shop_raw")
        for path in (raw / "shop").iterdir():
            loader.execute(f"create table shop_raw.{path.stem} as from '{path}'")
    parts = tmp_path / "raw" / "app" / "events"
    parts.mkdir(parents=True)
    for n in range(40):
        duckdb.execute(f"copy (from {rows(raw, 'app/events')} where hash(event_id) % 40 = {n}) to '{parts}/part-{n:04}.parquet'")
    assert len(list(parts.iterdir())) == 40
    shutil.copy(raw / "app" / "users.parquet", tmp_path / "raw" / "app")
    (tmp_path / "raw" / "esp").mkdir()
    for path in (raw / "esp").iterdir():
        duckdb.execute(f"copy (from '{path}') to '{tmp_path}/raw/esp/{path.stem}.jsonl.gz' (format json, compression gzip)")
    chosen = {"shop": {"database": "loader", "schema": "shop_raw"}}
    assert marts("parts", tmp_path / "raw", {"loader": {"path": str(tmp_path / "loader.duckdb")}}, chosen) == plain


def test_postgres_and_csv_of_every_encoding_give_the_same_marts(raw, plain, marts, tmp_path, server):
    psql = ["psql", "-Xq", "-v", "ON_ERROR_STOP=1"]
    environment = os.environ | server
    subprocess.run([*psql, "-c", "drop schema if exists shop_raw cascade; create schema shop_raw"], env=environment, check=True)
    for path in (raw / "shop").iterdir():
        described = duckdb.execute(f"describe from '{path}'").fetchall()
        columns = ", ".join(f"{name} {POSTGRES_TYPES.get(kind, kind)}" for name, kind, *_ in described)
        duckdb.execute(f"copy (from '{path}') to '{tmp_path}/{path.stem}.csv' (header)")
        load = [f"create table shop_raw.{path.stem} ({columns})", f"\\copy shop_raw.{path.stem} from '{tmp_path}/{path.stem}.csv' (format csv, header)"]
        subprocess.run([*psql, "-c", load[0], "-c", load[1]], env=environment, check=True)
    for folder in ("app", "esp"):
        (tmp_path / "raw" / folder).mkdir(parents=True)
        for path in (raw / folder).iterdir():
            duckdb.execute(f"copy (from '{path}') to '{tmp_path}/{path.stem}.csv' (header, delimiter ';')")
            content = (tmp_path / f"{path.stem}.csv").read_text()
            target = tmp_path / "raw" / folder / path.stem
            if folder == "app":
                head, *lines = content.splitlines(keepends=True)
                target.with_name(f"{path.stem}_2026-1.csv").write_bytes((head + "".join(lines[::2])).encode("utf-16"))
                target.with_name(f"{path.stem}_2026-2.CSV").write_text("sep=;\n" + head + "".join(lines[1::2]))
            else:
                target.with_suffix(".csv.gz").write_bytes(gzip.compress(content.replace("\n", "\r\n").encode("utf-8-sig")))
    settings = {"type": "postgres", "host": server["PGHOST"], "user": server["PGUSER"], "dbname": server["PGDATABASE"]}
    chosen = {"shop": {"database": "erp", "schema": "shop_raw"}}
    assert marts("postgres", tmp_path / "raw", {"erp": settings}, chosen) == plain
