"""How personal every column is, from source to mart: `meta.pii` says it, and what the column is made of bears it out."""

import re
from graphlib import TopologicalSorter

import duckdb
import pytest

import lifecycle_report
from lineage import CLASSES, Lineage
from publish_postgres import AGGREGATES
from support import MARTS_WITH_ADDRESSES


@pytest.fixture(scope="module")
def nodes(compiled):
    """{unique id: node} of what has columns: sources, seeds, models."""
    found = {**compiled.manifest["sources"], **compiled.manifest["nodes"]}
    return {key: node for key, node in found.items() if node["resource_type"] in ("source", "seed", "model")}


@pytest.fixture(scope="module")
def stated(nodes):
    return {
        key: {name: column["meta"]["pii"] for name, column in node["columns"].items() if "pii" in column["meta"]}
        for key, node in nodes.items()
    }


@pytest.fixture(scope="module")
def lineage(compiled, nodes, stated):
    """{unique id: {column: (least class, why)}} of every model; what its YAML says counts for the models after it."""
    relations = {key: f"{node['schema']}.{node.get('identifier') or node['alias']}" for key, node in nodes.items()}
    reader = Lineage(compiled.relations, {relations[key]: classes for key, classes in stated.items()})
    models = {text.unique_id: text for text in compiled.texts if text.unique_id in nodes}
    order = TopologicalSorter({key: [*filter(models.get, text.reads)] for key, text in models.items()})
    return {key: reader.read(models[key].duckdb, models[key].relation) for key in order.static_order()}


def test_every_described_column_says_how_personal_it_is(nodes):
    wrong = [
        f"{node['name']}.{name}"
        for node in nodes.values()
        for name, column in node["columns"].items()
        if column["meta"].get("pii") not in CLASSES
    ]
    assert sum(len(node["columns"]) for node in nodes.values()) > 1300
    assert not wrong, f"config.meta.pii is one of {', '.join(CLASSES)}: {', '.join(wrong)}"


def test_no_column_is_less_personal_than_what_it_is_made_of(nodes, stated, lineage):
    """Unless pii_why says what makes it so. A column without YAML, of a base or an adapter, is what it is made of."""
    problems, count = [], 0
    for key, made in lineage.items():
        for name, (least, because) in made.items():
            count += 1
            said, why = stated[key].get(name, least), nodes[key]["columns"].get(name, {}).get("meta", {}).get("pii_why")
            if CLASSES.index(said) < CLASSES.index(least) and not why:
                problems.append(f"{nodes[key]['name']}.{name} is said to be {said}; it is made of {because}, which is {least}")
            if why and CLASSES.index(said) >= CLASSES.index(least):
                problems.append(f"{nodes[key]['name']}.{name}: nothing is lowered, pii_why can go")
    assert count > 1500
    assert not problems, "\n".join(problems)


def test_only_the_listed_marts_hold_what_names_or_reaches_somebody(nodes, stated, lineage):
    personal = {
        nodes[key]["name"]
        for key, made in lineage.items()
        for name, (least, _) in made.items()
        if nodes[key]["path"].startswith("marts/") and stated[key].get(name, least) in ("direct", "sensitive")
    }
    assert personal == MARTS_WITH_ADDRESSES


def test_what_leaves_without_being_named_is_about_groups(nodes, stated, lineage):
    """The marts that go to PostgreSQL by themselves have no identifying column; the report names none, and counts what has."""
    marts = {node["name"]: key for key, node in nodes.items() if node["path"].startswith("marts/")}
    identifying = {
        mart: {name for name, (least, _) in lineage[key].items() if stated[key].get(name, least) != "none"}
        for mart, key in marts.items()
        if key in lineage
    }
    assert {mart: identifying[mart] for mart in AGGREGATES if identifying[mart]} == {}
    counted = set()
    with duckdb.connect() as connection:
        for name, query in lifecycle_report.QUERIES.items():
            for mart in connection.get_table_names(query) & identifying.keys():
                assert not identifying[mart] & set(re.findall(r"\w+", query)), f"{name} names who is in {mart}"
                if identifying[mart]:
                    counted.add(mart)
                    assert re.search(r"count\(\*\)|count_if\(", query) and not re.search(rf"select \*|^\W*from {mart}", query), name
    assert {"customers", "customer_campaign_facts", "comebacks"} <= counted


def test_raw_rows_and_the_identity_map_count(stated):
    models = {key.split(".")[-1]: classes for key, classes in stated.items()}
    assert {name for name, said in models["rejected_rows"].items() if said == "sensitive"} == {"row_key", "raw_row"}
    assert {name for name, said in models["int_identity_map"].items() if said == "direct"} == {"record_key", "email", "email_key"}
    assert models["int_identity_map"]["person_id"] == models["int_identity_map"]["source_id"] == "id"


def test_what_is_read_as_an_address_or_is_somebodys_name_is_direct(nodes, stated):
    """The roots, from which all else follows."""
    names = ("first_name", "last_name", "customer_name", "billing_name", "billing_address_name", "id_or_address")
    hidden = ("birth_date", "gender", "postal_code", "zip", "raw_line", "raw_row")
    found = 0
    for key, node in nodes.items():
        for name, column in node["columns"].items():
            if "address" in column["meta"] or name in ("email", "phone", *names):
                assert stated[key][name] == "direct", f"{node['name']}.{name}"
                found += 1
            if name in hidden:
                assert stated[key][name] == "sensitive", f"{node['name']}.{name}"
                found += 1
    assert found > 80


@pytest.mark.parametrize(
    ("query", "least"),
    [
        ("select lower(trim(email)) as x from a.people", "direct"),
        ("select md5(email) as x from a.people", "direct"),
        ("select sha256('salt' || email) as x from a.people", "direct"),
        ("select sha256((select content from read_text('key')) || email) as x from a.people", "id"),
        ("select 'shop:' || id as x from a.people", "id"),
        ("select count(distinct email) as x from a.people", "none"),
        ("select email is null or email like '%@example.com' as x from a.people", "none"),
        ("select case when email = 'a@b.c' then 1 else 2 end as x from a.people", "none"),
        ("select case when id = '1' then email else 'nobody' end as x from a.people", "direct"),
        ("select date_trunc('year', birth_date) as x from a.people", "none"),
        ("select birth_date + 1 as x from a.people", "sensitive"),
        ("select max_by(id, email) as x from a.people", "id"),
        ("select min(email) over (partition by id) as x from a.people", "direct"),
        ("select row_number() over (order by email) as x from a.people", "none"),
        ("select string_agg(id, ',' order by email) filter (where email is not null) as x from a.people", "id"),
        ("select nullif(id, email) as x from a.people", "id"),
        ("select (select max(email) from a.people) as x", "direct"),
        ("select (select max(email) from a.people as b where b.id = c.id) as x from a.people as c", "direct"),
        ("select id as x from a.people union all select email from a.people", "direct"),
        ("with p as (select * from a.people), q as (select id, email as x from p) select x from q", "direct"),
        ("with recursive r as (select email as x from a.people union all select x from r) select x from r", "direct"),
        ("select unnest(string_split(email, '@')) as x from a.people", "direct"),
        ("select p.x from (select birth_date as x, id from a.people) as p join a.people as q on p.id = q.id", "sensitive"),
    ],
)
def test_the_lineage_of_known_queries(query, least):
    columns = {"id": "varchar", "email": "varchar", "birth_date": "date"}
    stated = {"id": "id", "email": "direct", "birth_date": "sensitive"}
    assert Lineage({"a.people": columns}, {"a.people": stated}).read(query)["x"][0] == least
