"""Spark's own word on the compiled texts: its analyser refuses none, finds DuckDB's types, and its macros calculate alike."""

import logging
import shutil

import pytest

import calculated

pyspark = pytest.importorskip("pyspark", reason="pyspark is not installed: `make test-spark` does it")
if not shutil.which("java"):
    pytest.skip("Spark needs Java 17, which is not here", allow_module_level=True)

from pyspark.errors import PySparkException  # noqa: E402
from pyspark.sql import SparkSession  # noqa: E402

TYPES = {
    "VARCHAR": "string",
    "INTEGER": "int",
    "HUGEINT": "decimal(38,0)",
    "TIMESTAMP": "timestamp_ntz",
    "TIMESTAMP WITH TIME ZONE": "timestamp",
}


@pytest.fixture(scope="module")
def spark(compiled, tmp_path_factory):
    """A small session in which every relation that the texts read is there, and empty."""
    # it writes whole Java stack traces of what is expected here
    logging.getLogger("SQLQueryContextLogger").disabled = True
    builder = SparkSession.builder.master("local[1]")
    for name, value in {
        "spark.log.level": "OFF",
        "spark.ui.enabled": "false",
        "spark.driver.host": "localhost",
        "spark.driver.memory": "4g",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.sql.ansi.enforceReservedKeywords": "true",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.timestampType": "TIMESTAMP_NTZ",
        "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("spark")),
    }.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    for schema in {relation.split(".")[0] for relation in compiled.relations}:
        session.sql(f"create schema {schema}")
    for relation, columns in compiled.relations.items():
        nulls = ", ".join(f"cast(null as {spark_type(type_)}) as {name}" for name, type_ in columns.items())
        session.sql(f"create view {relation} as select {nulls} where 1 = 0")
    # backslashes are read by Spark itself
    values = calculated.things("from values {rows} as things ({columns})").replace("\\", "\\\\")
    session.sql(f"create temporary view things as {values}")
    yield session
    session.stop()


@pytest.fixture(scope="module")
def analysed(compiled, spark):
    """What Spark makes of each text: its columns with their types, or why it refuses it."""
    outcomes = {}
    for text in compiled.texts:
        try:
            schema = spark.sql(text.spark).schema
            outcomes[text.unique_id] = {field.name: field.dataType.simpleString() for field in schema}
        except PySparkException as error:
            outcomes[text.unique_id] = " ".join(str(error).split())[:300]
    return outcomes


def spark_type(type_):
    return TYPES.get(type_, type_.lower())


def test_spark_refuses_no_text(compiled, analysed):
    excepted = {text.name: text.macros_without_spark_body for text in compiled.texts if text.macros_without_spark_body}
    print(f"{len(excepted)} texts are excepted, as macros of theirs have no body for Spark: {excepted}")
    refused = [
        f"{text.path} ({text.name}): {analysed[text.unique_id]}"
        for text in compiled.texts
        if isinstance(analysed[text.unique_id], str) and text.name not in excepted
    ]
    assert not refused, f"{len(refused)} of {len(compiled.texts)} texts:\n" + "\n".join(refused)


def test_spark_refuses_what_is_planted(compiled, spark):
    with pytest.raises(PySparkException):
        spark.sql(compiled.planted.spark)


def test_columns_have_one_type_on_both_engines(compiled, analysed):
    differences = []
    for text in compiled.texts:
        if text.relation and not isinstance(analysed[text.unique_id], str):
            for name, type_ in compiled.relations[text.relation].items():
                on_spark = analysed[text.unique_id].get(name, "missing")
                if on_spark != spark_type(type_):
                    differences.append(f"{text.path}: {name} is {type_} on DuckDB and {on_spark} on Spark: cast it")
    assert not differences, "\n".join(["", *differences])


def test_spark_calculates_as_python_does(compiled, spark):
    calculated.hold_against_python([row.asDict() for row in spark.sql(compiled.calculated.spark).collect()])
