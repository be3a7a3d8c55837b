"""Every text of a model or data test is SQL that DuckDB and Spark share; what they do not share is in few macros."""

import json
import re

import duckdb
import pytest
import sqlglot
from sqlglot.errors import ParseError

import calculated
from allowed_sql import allowed, used
from compiled_texts import dispatched_macros
from support import PROJECT

# macros that Spark has no body for yet; the texts that call them are excepted from its analysis
WITHOUT_SPARK_BODY = set()
REMEDY = "move it to a dispatched macro of macros/engine.sql, or add it to tests/portable/allowed_sql.toml with a reason"


@pytest.fixture(scope="module")
def listed():
    return allowed() | {("function", f"engine_{name}") for name in dispatched_macros()}


def test_every_text_uses_what_is_on_the_list_alone(compiled, listed):
    findings = set()
    for text in compiled.texts:
        try:
            findings |= {f"{text.path} ({text.name}): {kind} {what}: {REMEDY}" for kind, what in used(text.neutral) - listed}
        except ParseError as error:
            findings.add(f"{text.path} ({text.name}): sqlglot cannot read it (a keyword as a name?): {error.errors[0]}")
    assert len(compiled.texts) > 350
    assert not findings, "\n".join(["", *sorted(findings)])


def test_no_join_meets_by_what_spark_computes_anew(compiled):
    """Spark asks Java for a domain, which it takes to be another one each time: such a key is a column before it joins."""

    def joined_by_domains(text):
        conditions = [join.args["on"] for join in sqlglot.parse_one(text, read="duckdb").find_all(sqlglot.exp.Join) if "on" in join.args]
        return any("engine_ascii_domain(" in condition.sql().lower() for condition in conditions)

    assert any("engine_ascii_domain(" in text.neutral for text in compiled.texts)
    assert joined_by_domains("select a from t inner join u on t.a = engine_ascii_domain(u.a)")
    assert [text.path for text in compiled.texts if joined_by_domains(text.neutral)] == []


def sums_of_floats(connection, query):
    """The aggregates of a query that add up floats, as DuckDB has bound them; None if it cannot write down its plan."""

    def walk(node):
        if isinstance(node, list):
            for part in node:
                yield from walk(part)
        elif isinstance(node, dict):
            if node.get("type") in ("BOUND_AGGREGATE", "WINDOW_AGGREGATE") and node["return_type"]["id"] in ("DOUBLE", "FLOAT"):
                name = node["qname"]["path"][-1]
                if name not in ("max", "min", "max_by", "min_by", "quantile_cont"):
                    yield name
            for part in node.values():
                yield from walk(part)

    plan = json.loads(connection.execute("select json_serialize_plan(?)", [query]).fetchone()[0])
    return None if plan["error"] else [*walk(plan)]


def test_nothing_adds_up_floats(compiled):
    """Their sum depends on the order of rows and threads, in the last digit, from build to build; that of decimals does not."""
    with duckdb.connect(str(compiled.warehouse)) as connection:
        found = {text.path: sums_of_floats(connection, text.duckdb) for text in compiled.texts if text.relation}
        assert len(found) > 150
        # a file as a table, and a recursion by key: neither has floats
        unread = {path for path, names in found.items() if names is None}
        assert {path.split("/")[-1] for path in unread} <= {"suppression_list.sql", "int_identity_map.sql"}
        assert {path: names for path, names in found.items() if names} == {}
        floats = "(select range / 7 as a from range(9))"
        for planted in ("sum(a)", "avg(a)", "sum(a * a) filter (where a > 1)", "sum(a) over (order by a)", "var_samp(a)"):
            assert sums_of_floats(connection, f"select {planted} from {floats}"), planted


def test_what_is_not_on_the_list_is_found(compiled, listed):
    assert used(compiled.planted.neutral) - listed == {
        ("function", "list_aggregate"),
        ("function", "strftime"),
        ("function", "unnest"),
        ("function", "arg_max"),
        ("function", "epoch"),
        ("type", "int"),
        ("type", "varchar"),
        ("type", "decimal"),
        ("construct", "::"),
        ("construct", "from before select"),
        ("construct", "Mod"),
        ("construct", "Bracket"),
        ("construct", "Identifier: quoted"),
        ("construct", "Group: all"),
    }


@pytest.mark.parametrize(
    "query",
    [
        "select * exclude (a) from t",
        "select distinct on (a) b from t",
        "select a from t asof join u on t.a >= u.a",
        "select a from t semi join u on t.a = u.a",
        "select a from t inner join u using (a)",
        "select a from t union by name select b from u",
        "with recursive t as (select 1 as a) select a from t",
        "select a from t cross join lateral (select 1) as u",
        "select a from t group by grouping sets ((a), ())",
        "select a from t order by a nulls first",
        "select a from t tablesample 10%",
        "select a from 'file.parquet'",
        "select list_transform(a, lambda x: x + 1) from t",
        "select a // 2 from t",
        "select a ~ 'b' from t",
        "select a ilike 'b' from t",
        "select a -> 'b' from t",
        "select {'b': a} from t",
        "select cast(a as integer[]) from t",
        "select a + interval 1 day from t",
        "select string_agg(a, ',') from t",
        "select current_date",
    ],
)
def test_duckdbs_own_constructs_are_found(query, listed):
    assert used(query) - listed


def test_declared_types_are_on_the_list(compiled, listed):
    nodes = [*compiled.manifest["nodes"].values(), *compiled.manifest["sources"].values()]
    declared = {
        (f"{node['name']}.{name}", type_)
        for node in nodes
        for name, type_ in [
            *((column["name"], column["data_type"]) for column in node["columns"].values() if column["data_type"]),
            *node["config"].get("column_types", {}).items(),
        ]
    }
    assert len(declared) > 500
    assert {pair for pair in declared if ("type", re.sub(r"\(.*", "(...)", pair[1])) not in listed} == set()


def test_dispatched_macros_are_few_and_have_a_body_for_both_engines():
    bodies = {name: engines for name, (_, engines) in dispatched_macros().items()}
    print(f"{len(bodies)} dispatched macros: {', '.join(bodies)}")
    assert len(bodies) == 33
    for page in ("portability.md", "spark.md"):
        assert f"{len(bodies)} dispatched macros" in (PROJECT / "docs" / page).read_text(), f"docs/{page} has another number"
    for engine, excepted in (("duckdb", set()), ("spark", WITHOUT_SPARK_BODY)):
        assert {name for name, engines in bodies.items() if not engines & {engine, "default"}} == excepted


def test_duckdb_calculates_as_python_does(compiled):
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"create table things as {calculated.things('from (values {rows}) as things ({columns})')}")
        cursor = connection.execute(compiled.calculated.duckdb)
        names = [column[0] for column in cursor.description]
        calculated.hold_against_python([dict(zip(names, row, strict=True)) for row in cursor.fetchall()])
