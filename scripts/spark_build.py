"""Build the marts on Apache Spark: DuckDB's import reads and checks the raw data, then dbt runs with a target of Spark.

The import is DuckDB's on every engine: it finds the files, checks variables, adapters and required columns, reads CSV and JSON
lines, and replaces what names erased people. What it has read is written as Parquet to LIFECYCLE_SPARK/raw, and Spark's
`raw_import` is views of that. Tables of Spark's own catalogue, which raw_databases names as the database `catalogue`, are
written as Parquet before, and the import reads them like any other. Spark writes its tables below LIFECYCLE_SPARK/tables, one
folder each; publish them with scripts/publish.py --from LIFECYCLE_SPARK.

What follows `--` goes to dbt. Exit codes: those of dbt, or 2 usage, 75 busy: another run writes there.
"""

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import yaml

from common import USAGE, Problem, private, quoted, run_script
from publish import only_one

PROJECT = Path(__file__).resolve().parents[1]
IMPORT = "raw_data.duckdb"
CATALOGUE = "catalogue"  # the database of raw_databases, and what profiles.yml calls the file


def build(folder, target, variables, dbt_arguments):
    """Import and build; returns dbt's exit code."""
    folder = folder.absolute()
    if importlib.util.find_spec("dbt.adapters.spark") is None:
        raise Problem(USAGE, "dbt-spark is not installed; run `make .venv/spark`")
    if target == "spark_session" and not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        raise Problem(USAGE, "Spark needs Java 17 or later (Debian: openjdk-17-jre-headless)")
    private()
    folder.mkdir(parents=True, exist_ok=True)
    with only_one(folder, "spark_build"):
        given = ["--vars", variables] if variables else []
        try:
            code = copy_catalogue(folder, target, variables, given) or import_raw(folder, given)
        finally:
            remove_catalogue(folder)
        if code:
            return code
        if target == "spark_session" and os.environ.get("LIFECYCLE_SPARK_CATALOGUE", "in-memory") == "in-memory":
            clear_tables(folder / "tables")
        return dbt("build", "--target", target, *given, *dbt_arguments, folder=folder, parsed="spark")


def copy_catalogue(folder, target, variables, given):
    """Have Spark write what raw_databases names of its catalogue, for the import to read; returns dbt's exit code."""
    schemas = catalogue_schemas(variables)
    if not schemas:
        return 0
    remove_catalogue(folder)  # of a run that was killed
    arguments = ["--args", json.dumps({"folder": str(folder / CATALOGUE), "schemas": schemas})]
    code = dbt("run-operation", "write_catalogue", "--target", target, *arguments, *given, folder=folder, parsed="spark")
    if code:
        return code
    with duckdb.connect(str(folder / f"{CATALOGUE}.duckdb")) as connection:
        for schema in sorted((folder / CATALOGUE).glob("*")):
            connection.execute(f'create schema "{schema.name}"')
            for table in sorted(schema.glob("*")):
                files = quoted(table / "*.parquet")
                connection.execute(f'create view "{schema.name}"."{table.name}" as from read_parquet({files})')
    return 0


def catalogue_schemas(variables):
    """The schemas of Spark's catalogue among raw_databases; what is wrong with a variable is the import's to say."""
    declared = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"]
    try:
        given = yaml.safe_load(variables or "{}")
    except yaml.YAMLError:
        given = None
    chosen = (declared | given if isinstance(given, dict) else declared).get("raw_databases")
    places = [place for place in (chosen.values() if isinstance(chosen, dict) else ()) if isinstance(place, dict)]
    return sorted({str(place["schema"]) for place in places if place.get("database") == CATALOGUE and place.get("schema")})


def remove_catalogue(folder):
    for path in (folder / CATALOGUE, *folder.glob(f"{CATALOGUE}.duckdb*")):
        remove(path)


def import_raw(folder, given):
    """Have DuckDB read the raw data and write them as Parquet; returns dbt's exit code."""
    remove(folder / "raw")
    (folder / "raw" / "imported").mkdir(parents=True)
    try:
        # the operation starts as a build does: with every check of variables and files
        arguments = ["--args", f"{{folder: '{folder / 'raw'}'}}"]
        return dbt("run-operation", "write_raw_import", "--target", "duckdb", *arguments, *given, folder=folder, parsed="import")
    finally:
        for path in folder.glob(f"{IMPORT}*"):
            remove(path)


def clear_tables(tables):
    """A session that starts with an empty catalogue makes no table where files of an earlier one are."""
    for schema in tables.glob("*.db"):
        remove(schema)


def remove(folder):
    if folder.is_dir():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)


def dbt(*arguments, folder, parsed):
    """dbt in a process of its own, which is one session of Spark; engines parse the project apart."""
    program = Path(sys.executable).with_name("dbt")
    places = {
        "LIFECYCLE_SPARK": str(folder),
        "LIFECYCLE_WAREHOUSE": str(folder / IMPORT),
        "DBT_TARGET_PATH": str(Path(os.environ.get("DBT_TARGET_PATH", "target")).absolute() / parsed),
    }
    return subprocess.run([program, *arguments], cwd=PROJECT, env=os.environ | places).returncode


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--folder", type=Path, default=os.environ.get("LIFECYCLE_SPARK", PROJECT / "warehouse" / "spark"))
    parser.add_argument("--target", default="spark_session", help="of profiles.yml")
    parser.add_argument("--vars", help="as dbt takes them; for the import, too")
    parser.add_argument("dbt", nargs="*", help="further arguments of `dbt build`, after `--`")
    options = parser.parse_args(arguments)
    return run_script(
        "spark_build", lambda: build(options.folder, options.target, options.vars, options.dbt), warehouse=options.folder
    )


if __name__ == "__main__":
    sys.exit(main())
