"""One task in several tools: RFM scores, three rates and the retention of monthly cohorts, from the orders of a built warehouse.

    python benchmarks/peers.py WAREHOUSE [--tools duckdb pandas polars sqlite lifetimes spark] [--repeat 3]

Every tool reads the same Parquet file (person_id, order_date, net_amount; SQLite a table of its own, made before it is measured) in a
process of its own and gives the same answer, which is compared. lifetimes has only a part of the task, its summary of frequency,
recency and value. Prints one JSON object per tool: {"tool", "version", "cpu", "wall", "gigabytes"}, the best of several; a tool that is
not installed is left out (`make bench` installs them), and so is Spark without Java. CPU and memory of Spark are those of its Python
alone: of Spark only the wall-clock time says something.
"""

import argparse
import importlib.metadata
import json
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path

import duckdb

from measuring import AS_OF, THREADS, spent

PACKAGES = {"duckdb": "duckdb", "pandas": "pandas", "polars": "polars", "sqlite": None, "lifetimes": "lifetimes", "spark": "pyspark"}
SCORES = (("recency", "r", "<"), ("frequency", "f", ">"), ("monetary", "m", ">"))
CUTS = (0.2, 0.4, 0.6, 0.8)
# The answer of every tool: how many people have each of the 125 scores, customers, those of two and of three orders, and of each cohort
# how many order in each month after it.


def with_duckdb(orders):
    scores = ", ".join(f"1 + {' + '.join(f'({value} {sign} {name}[{n}])::int' for n in range(1, 5))} as {name}" for value, name, sign in SCORES)
    cuts = ", ".join(f"quantile_cont({value}::double, {list(CUTS)}) as {name}" for value, name, _ in SCORES)
    with duckdb.connect(config={"threads": THREADS}) as con:
        con.execute(f"""create temp table people as select person_id, datediff('day', max(order_date), date '{AS_OF}') as recency, count(*) as frequency,
            sum(net_amount)::double as monetary, date_trunc('month', min(order_date)) as cohort from '{orders}' group by 1""")
        rfm = con.execute(f"with cuts as (select {cuts} from people), scored as (select {scores} from people, cuts) "
                          "select r, f, m, count(*) from scored group by all").fetchall()
        rates = con.execute("select count(*), count(*) filter (frequency >= 2), count(*) filter (frequency >= 3) from people").fetchone()
        cohorts = con.execute(f"""select strftime(cohort, '%Y-%m'), datediff('month', cohort, order_date), count(distinct person_id)
            from '{orders}' join people using (person_id) group by all""").fetchall()
    return rfm, rates, cohorts


def with_pandas(orders):
    import pandas as pd  # noqa: PLC0415 a process imports only its own tool

    lines = pd.read_parquet(orders)
    people = lines.groupby("person_id").agg(first=("order_date", "min"), last=("order_date", "max"), frequency=("order_date", "size"), monetary=("net_amount", "sum"))
    people["recency"] = (pd.Timestamp(AS_OF) - people["last"]).dt.days
    for value, name, sign in SCORES:
        edges = people[value].quantile(list(CUTS))
        people[name] = 1 + sum((people[value] < edge if sign == "<" else people[value] > edge).astype(int) for edge in edges)
    rfm = [(*map(int, key), int(count)) for key, count in people.groupby(["r", "f", "m"]).size().items()]
    rates = tuple(int((people["frequency"] >= least).sum()) for least in (1, 2, 3))
    lines = lines.merge(people[["first"]], left_on="person_id", right_index=True)
    lines["cohort"] = lines["first"].dt.strftime("%Y-%m")
    lines["after"] = (lines["order_date"].dt.year - lines["first"].dt.year) * 12 + lines["order_date"].dt.month - lines["first"].dt.month
    return rfm, rates, [(*key, int(count)) for key, count in lines.groupby(["cohort", "after"])["person_id"].nunique().items()]


def with_polars(orders):
    import polars as pl  # noqa: PLC0415

    lines, at = pl.scan_parquet(orders), pl.lit(AS_OF).str.to_date()
    people = lines.group_by("person_id").agg(
        (at - pl.col("order_date").max().cast(pl.Date)).dt.total_days().alias("recency"), pl.len().alias("frequency"),
        pl.col("net_amount").sum().alias("monetary"), pl.col("order_date").min().alias("first")).collect()
    scored = people.with_columns(**{name: 1 + sum(
        ((pl.col(value) < pl.col(value).quantile(cut, "linear")) if sign == "<" else (pl.col(value) > pl.col(value).quantile(cut, "linear"))).cast(pl.Int64)
        for cut in CUTS) for value, name, sign in SCORES})
    rfm = scored.group_by("r", "f", "m").len().rows()
    rates = tuple(people.filter(pl.col("frequency") >= least).height for least in (1, 2, 3))
    cohorts = lines.join(people.lazy().select("person_id", "first"), on="person_id").group_by(
        pl.col("first").dt.strftime("%Y-%m").alias("cohort"),
        ((pl.col("order_date").dt.year() - pl.col("first").dt.year()) * 12 + pl.col("order_date").dt.month().cast(pl.Int32) - pl.col("first").dt.month()).alias("after"),
    ).agg(pl.col("person_id").n_unique()).collect().rows()
    return rfm, rates, cohorts


def with_sqlite(database):
    # no quantiles: the two values about each cut, found by their place, and the way between them
    cuts = " union all ".join(
        f"select '{name}' as name, {n} as n, min(v) + (max(v) - min(v)) * ({cut} * (total - 1) - cast({cut} * (total - 1) as int)) as cut from "
        f"(select {value} as v, row_number() over (order by {value}) as place, count(*) over () as total from people) "
        f"where place in (1 + cast({cut} * (total - 1) as int), 2 + cast({cut} * (total - 1) as int))"
        for value, name, _ in SCORES for n, cut in enumerate(CUTS))
    scores = ", ".join(f"1 + (select sum({value} {sign} cut) from cuts where name = '{name}') as {name}" for value, name, sign in SCORES)
    with sqlite3.connect(database) as con:
        con.execute(f"""create temp table people as select person_id, cast(julianday('{AS_OF}') - julianday(max(order_date)) as int) as recency,
            count(*) as frequency, sum(net_amount) as monetary, min(order_date) as first from orders group by 1""")
        con.execute("create index temp.by_person on people (person_id)")
        con.execute(f"create temp table cuts as {cuts}")
        rfm = con.execute(f"select r, f, m, count(*) from (select {scores} from people) group by 1, 2, 3").fetchall()
        rates = con.execute("select count(*), sum(frequency >= 2), sum(frequency >= 3) from people").fetchone()
        cohorts = con.execute("""select substr(first, 1, 7), (cast(substr(order_date, 1, 4) as int) - cast(substr(first, 1, 4) as int)) * 12
            + cast(substr(order_date, 6, 2) as int) - cast(substr(first, 6, 2) as int), count(distinct person_id)
            from orders join people using (person_id) group by 1, 2""").fetchall()
    return rfm, rates, cohorts


def with_spark(orders):
    from pyspark.sql import SparkSession  # noqa: PLC0415

    settings = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.sql.shuffle.partitions": THREADS,
                "spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}  # fmt: skip
    spark = SparkSession.builder.master(f"local[{THREADS}]").config(map=settings).getOrCreate()
    spark.read.parquet(str(orders)).createOrReplaceTempView("orders")
    scores = ", ".join(f"1 + {' + '.join(f'cast({value} {sign} {name}[{n}] as int)' for n in range(4))} as {name}" for value, name, sign in SCORES)
    cuts = ", ".join(f"percentile({value}, array{CUTS}) as {name}" for value, name, _ in SCORES)
    spark.sql(f"""select person_id, datediff(date '{AS_OF}', max(order_date)) as recency, count(*) as frequency, sum(net_amount) as monetary,
        min(order_date) as first from orders group by 1""").cache().createOrReplaceTempView("people")
    rfm = spark.sql(f"with cuts as (select {cuts} from people), scored as (select {scores} from people cross join cuts) select r, f, m, count(*) from scored group by 1, 2, 3")
    rates = spark.sql("select count(*), count_if(frequency >= 2), count_if(frequency >= 3) from people").collect()[0]
    cohorts = spark.sql("""select date_format(first, 'yyyy-MM'), (year(order_date) - year(first)) * 12 + month(order_date) - month(first),
        count(distinct person_id) from orders join people using (person_id) group by 1, 2""")
    return [tuple(row) for row in rfm.collect()], tuple(rates), [tuple(row) for row in cohorts.collect()]


def with_lifetimes(orders):
    import pandas as pd  # noqa: PLC0415
    from lifetimes.utils import summary_data_from_transaction_data  # noqa: PLC0415

    summary = summary_data_from_transaction_data(pd.read_parquet(orders), "person_id", "order_date", "net_amount", observation_period_end=AS_OF)
    return len(summary)


def prepare(warehouse, folder):
    """Write the orders as a Parquet file and as a table of SQLite. Returns {tool: its input}."""
    parquet, database = folder / "orders.parquet", folder / "orders.sqlite"
    with duckdb.connect(str(warehouse), read_only=True) as con:
        con.execute(f"""copy (select person_id, order_date::timestamp as order_date, net_amount::double as net_amount from marts.orders
            where person_id is not null) to '{parquet}'""")
        with sqlite3.connect(database) as made:
            made.execute("create table orders (person_id text, order_date text, net_amount real)")
            made.executemany("insert into orders values (?, ?, ?)", con.execute(
                f"select person_id, strftime(order_date, '%Y-%m-%d'), net_amount from '{parquet}'").fetchall())
    return {tool: database if tool == "sqlite" else parquet for tool in PACKAGES}


def version(tool):
    """The version of a tool, None where it is not installed."""
    if tool == "spark" and not shutil.which("java"):
        return None
    try:
        return importlib.metadata.version(PACKAGES[tool]) if PACKAGES[tool] else sqlite3.sqlite_version
    except importlib.metadata.PackageNotFoundError:
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("warehouse", type=Path)
    parser.add_argument("--tools", nargs="+", choices=PACKAGES, default=[*PACKAGES])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--one", choices=PACKAGES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:  # rounding to a person: the tools add doubles up in an order of their own
        answer = globals()[f"with_{options.one}"](str(options.warehouse))
        print(json.dumps(answer if options.one == "lifetimes" else [sorted(map(list, answer[0])), list(answer[1]), sorted(map(list, answer[2]))]))
        return
    with tempfile.TemporaryDirectory() as name:
        inputs, expected = prepare(options.warehouse, Path(name)), None
        for tool in (tool for tool in options.tools if version(tool)):
            runs = [spent([sys.executable, __file__, inputs[tool], "--one", tool]) for _ in range(options.repeat)]
            answer, best = json.loads(runs[0]["printed"].splitlines()[-1]), min(runs, key=lambda run: run["cpu"])
            expected = expected or answer
            if tool != "lifetimes" and answer != expected:
                sys.exit(f"benchmark: {tool} has another answer than {options.tools[0]}")
            print(json.dumps({"tool": tool, "version": version(tool), **{key: best[key] for key in ("cpu", "wall", "gigabytes")}}), flush=True)


if __name__ == "__main__":
    main()
