"""No step is worse than linear: what DuckDB plans for every model and data test joins each row with each row only where one side
cannot grow with people, orders or events.
"""

import json

import duckdb
import pytest

QUADRATIC = {"NESTED_LOOP_JOIN", "BLOCKWISE_NL_JOIN", "CROSS_PRODUCT"}
# one row, or whatever happens
ONE_ROW = {"UNGROUPED_AGGREGATE", "DUMMY_SCAN", "COLUMN_DATA_SCAN", "READ_TEXT", "EMPTY_RESULT"}
# tables of one row, or of a row for each month, cohort or row of a seed
SMALL = {"int_as_of", "int_app_goals", "int_months", "int_customer_years", "stage_thresholds", "rfm_cut_points", "cohort_value"}


class Plan:
    """The plan of one query; `found` are its joins of each row with each row of two sides that grow."""

    def __init__(self, connection, query):
        (tree,) = json.loads(connection.execute(f"explain (format json) {query}").fetchone()[1])
        self.ctes, self.found = {}, []
        self.read(tree)
        self.judge(tree)

    def read(self, node):
        if node["name"] == "CTE":
            self.ctes[node["extra_info"]["Table Index"]] = node["children"][0]
        for child in node["children"]:
            self.read(child)

    def judge(self, node):
        if node["name"] in QUADRATIC and not any(map(self.is_small, node["children"])):
            self.found.append(f"{node['name']} of {' and '.join(', '.join(sorted(self.tables(child))) for child in node['children'])}")
        for child in node["children"]:
            self.judge(child)

    def is_small(self, node):
        if node["name"] == "CTE_SCAN":
            return self.is_small(self.ctes[node["extra_info"]["CTE Index"]])
        if node["name"] == "CTE":
            return self.is_small(node["children"][1])
        if node["name"] == "SEQ_SCAN":
            _, schema, table = node["extra_info"]["Table"].split(".")
            return schema == "seeds" or table in SMALL
        return node["name"] in ONE_ROW or (bool(node["children"]) and all(map(self.is_small, node["children"])))

    def tables(self, node):
        """Names of the tables below a node."""
        if node["name"] == "CTE_SCAN":
            return self.tables(self.ctes[node["extra_info"]["CTE Index"]])
        own = {node["extra_info"]["Table"].split(".")[-1]} if "Table" in node["extra_info"] else set()
        return own.union(*map(self.tables, node["children"]))


@pytest.fixture(scope="module")
def connection(demo_warehouse):
    with duckdb.connect(str(demo_warehouse), read_only=True) as connection:
        yield connection


def test_nothing_is_worse_than_linear(demo_warehouse, connection):
    manifest = json.loads((demo_warehouse.with_suffix(".target") / "manifest.json").read_text())
    nodes = [node for node in manifest["nodes"].values() if node["resource_type"] in ("model", "test") and (node.get("compiled_code") or "").strip()]
    found = {node["name"]: Plan(connection, node["compiled_code"]).found for node in nodes}
    assert len(nodes) > 300
    assert not any(found.values()), "\n".join(f"{name}: {'; '.join(joins)}" for name, joins in found.items() if joins)


@pytest.mark.parametrize(
    ("query", "joins"),
    [
        ("select * from marts.orders as a inner join marts.orders as b on a.order_date < b.order_date or a.net_amount < b.net_amount", 1),
        ("select * from marts.orders cross join marts.customers", 1),
        ("with d as materialized (select order_date from marts.orders) select * from d cross join d as e", 1),
        ("select * from marts.orders cross join intermediate.int_as_of", 0),
        ("select * from marts.orders cross join (select max(order_date) as last_day from marts.orders)", 0),
        ("select * from marts.orders inner join marts.customers using (person_id)", 0),
    ],
)
def test_such_joins_are_found(connection, query, joins):
    assert len(Plan(connection, query).found) == joins
