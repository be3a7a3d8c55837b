"""What sqlglot makes of the compiled models and data tests in other dialects: writes docs/portability.md.

Run it after a change of models or macros: `.venv/bin/python tests/portable/portability_report.py`.
"""

import re
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import sqlglot
from sqlglot import ErrorLevel
from sqlglot.dialects import Dialect
from sqlglot.errors import ParseError

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from compiled_texts import compile_project, dispatched_macros  # noqa: E402

DIALECTS = ["spark", "databricks", "snowflake", "bigquery", "trino"]
PAGE = """# Portable SQL

DuckDB is what this project runs on, and Spark the second engine that its models are written for. Four things hold the
text of all {models} models and {tests} data tests to what engines share:

- **A list**, `tests/portable/allowed_sql.toml`: every function, type and construct that a compiled text may use outside of
  the {macros} dispatched macros, with notes where another warehouse differs. `make test` holds every text against it.
- **Whole builds**: `make test-spark` builds a demo on both engines and compares every mart and every exported file ([spark.md](spark.md)).
- **Spark's analyser**: it also has Spark 4 analyse every text with the macros' bodies for Spark. No text is refused,
  and every column of a model has DuckDB's type. It needs Java 17 and installs Spark, which nothing else needs.
- **The same values**: money, dates, texts and hashes of the macros are calculated on DuckDB and Spark from 3,000 random and
  boundary rows, and both are held against Python.

Dispatched macros, DuckDB's bodies in `macros/engine.sql`, Spark's in `macros/engine_spark.sql`: {names}.
Another warehouse needs these bodies, of which `prepare_raw` and `record_invocation` start and end a build
(`macros/prepare_raw_spark.sql`): DuckDB imports the raw files, the other engine reads the Parquet files that it has written.

## What sqlglot says

The same texts, with a call in place of each dispatched macro, translated by sqlglot {version}. This is a linter's view, **not a
proof**: it once called its own translation of 152 texts to Spark clean, of which Spark's analyser refused 28. Nothing was run on
Snowflake, BigQuery or Trino.

| to | texts | written otherwise | with a warning | not translated or not read back | names that only the translation has |
|---|---|---|---|---|---|
{rows}

{remarks}

Blind to, and therefore noted in the list or left to the analyser:

- types: a date less a date, a comparison of a number and a text, a product of decimals that is rounded on the way;
- what a function does with a null (`greatest`, `max_by`), and where nulls are sorted;
- whole numbers divided by `/` (Trino leaves out the rest), `%` and `||` of other types;
- names that it does not know: they are passed through as they are, as are the dispatched macros here;
- exactness: a `percentile_cont` that becomes approximate is no warning.

Made by `.venv/bin/python tests/portable/portability_report.py`.
"""


def names(text):
    return set(re.findall(r"\b([a-z_]\w*)\(", text.lower()))


def translated(texts, dialect):
    """Counts of a dialect, and its remarks with the texts that they are about."""
    engine, duckdb = Dialect.get_or_raise(dialect), Dialect.get_or_raise("duckdb")
    counts, new, remarks = Counter(), set(), defaultdict(list)
    for text in texts:
        tree = sqlglot.parse_one(text.neutral, read="duckdb")
        as_it_was = duckdb.generator().generate(tree)
        generator = engine.generator(unsupported_level=ErrorLevel.IGNORE)
        try:
            result = generator.generate(tree)
        except Exception as error:  # its own mistakes, too
            counts["not"] += 1
            remarks[f"fails: {type(error).__name__}"].append(text.name)
            continue
        counts["otherwise"] += result != as_it_was
        counts["warned"] += bool(generator.unsupported_messages)
        new |= names(result) - names(as_it_was) - names(text.neutral)
        for message in set(generator.unsupported_messages):
            remarks[message].append(text.name)
        try:
            sqlglot.parse_one(result, read=dialect)
        except ParseError:
            counts["not"] += 1
            remarks["does not read its own translation"].append(text.name)
    return counts, new, remarks


def page(compiled):
    rows, remarks = [], []
    for dialect in DIALECTS:
        counts, new, found = translated(compiled.texts, dialect)
        cells = [counts["otherwise"], counts["warned"], counts["not"], ", ".join(f"`{name}`" for name in sorted(new)) or "none"]
        rows.append(f"| {dialect} | {len(compiled.texts)} | " + " | ".join(map(str, cells)) + " |")
        for message, texts in sorted(found.items()):
            some = ", ".join(f"`{name}`" for name in sorted(texts)[:3]) + ", …" * (len(texts) > 3)
            remarks.append(f"- {dialect}, texts: {len(texts)}: {message} ({some})")
    models = sum(text.unique_id.startswith("model.") for text in compiled.texts)
    macros = dispatched_macros()
    return PAGE.format(
        models=models,
        tests=len(compiled.texts) - models,
        macros=len(macros),
        names=", ".join(f"`{name}`" for name in macros),
        version=sqlglot.__version__,
        rows="\n".join(rows),
        remarks="\n".join(remarks) or "No remarks.",
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        (ROOT / "docs" / "portability.md").write_text(page(compile_project(Path(folder))))
