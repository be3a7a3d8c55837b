"""Adapters are folders: one that nobody here has seen before works, one that breaks its contract is named, one not in use is not there."""

import importlib.util
import json
import re
import shutil
from configparser import ConfigParser
from datetime import date

import pytest
import yaml

from support import PROJECT, Warehouse, checksums, dbt, script

FIXTURE = PROJECT / "tests" / "fixtures" / "loyalty_cards"
SHOP = {"sources": ["shop"], "as_of_date": "2024-06-30", "business_time_zone": "UTC"}
CARDS = SHOP | {"sources": ["shop", "loyalty_cards"]}
LINE = "'loyalty_cards': {'raw': {'loyalty_cards': ['cards', 'swipes']}, 'gives': {'shop': ['customers'], 'app': ['users', 'events']}},"
ADAPTERS = PROJECT / "macros" / "adapters.sql"
NO_TESTS = ("--exclude-resource-type", "unit_test", "--exclude-resource-type", "test")


# --- a stranger's system ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project with one more folder and one more line."""
    copy = tmp_path_factory.mktemp("stranger") / "project"
    unwanted = shutil.ignore_patterns(".*", "__pycache__", "data", "state", "integration_tests", "target", "logs", "exports", "published", "*.duckdb", "node_modules", "fixtures")
    shutil.copytree(PROJECT, copy, ignore=unwanted)
    shutil.copy(PROJECT / ".dbtignore", copy)
    shutil.copytree(FIXTURE / "adapter", copy / "models/staging/loyalty_cards")
    text = (copy / "macros/adapters.sql").read_text()
    before, end, after = text.partition("    }) }}\n")
    (copy / "macros/adapters.sql").write_text(f"{before}        {LINE}\n{end}{after}")
    return copy


@pytest.fixture(scope="module")
def shop_alone(tmp_path_factory):
    path = tmp_path_factory.mktemp("shop_alone") / "lifecycle.duckdb"
    dbt("build", *NO_TESTS, raw=FIXTURE / "raw", warehouse=path, variables=SHOP)
    return path


@pytest.fixture(scope="module")
def with_cards(project):
    """The whole build with every data test."""
    path = project / "warehouse/lifecycle.duckdb"
    done = dbt(
        "build", "--exclude-resource-type", "unit_test", raw=FIXTURE / "raw", warehouse=path, variables=CARDS, project=project
    )
    assert "WARN" not in done.stdout.replace("WARN=0", ""), done.stdout[-4000:]
    return path


def test_the_folder_is_small():
    assert sum(len(path.read_text().splitlines()) for path in FIXTURE.rglob("*") if path.is_file()) <= 200


def test_a_strangers_system_brings_people_and_activity(with_cards):
    """Ann holds a card under the address of her account; card 9002 is not the shop's customer 9002; 9004 is only swiped."""
    people = Warehouse(with_cards).rows(
        "select split_part(email, '@', 1), primary_customer_id, app_user_id, orders_count, last_activity_date, is_active_30d "
        "from marts.customers order by all"
    )
    assert people == [
        ("ann", "a", "9001", 1, date(2024, 6, 30), True),
        ("bob", "b", None, 1, date(2024, 3, 10), False),
        ("dora", "9002", "9002", 0, date(2024, 5, 31), False),  # 30 days ago
        ("someone", "9002", None, 1, date(2024, 6, 10), True),
        (None, "9003", "9003", 0, date(2024, 6, 1), True),  # 29 days ago; a swipe of tomorrow is not known yet
        (None, "9004", "9004", 0, date(2024, 6, 20), True),
    ]


def test_what_cannot_be_read_is_accounted_for(with_cards):
    assert Warehouse(with_cards).rows(
        "select table_name, staged_rows, duplicate_rows, rejected_rows from marts.source_tables where source = 'loyalty_cards' order by 1"
    ) == [("cards", 3, 1, 0), ("swipes", 6, 0, 1)]


def test_nothing_else_changes(with_cards, shop_alone):
    """Every mart of orders, to the cell, and everybody who holds no card."""
    alone, both = checksums(shop_alone), checksums(with_cards)
    of_orders = {"orders", "customer_rfm", "cohort_retention", "cohort_value", "growth_accounting", "rfm_grid", "stage_thresholds"}
    assert {mart: both[mart] for mart in of_orders} == {mart: alone[mart] for mart in of_orders}
    others = "from marts.customers where email in ('bob@example.com', 'someone@example.com') order by email"
    assert Warehouse(with_cards).rows(f"select * {others}") == Warehouse(shop_alone).rows(f"select * {others}")
    names = "select person_id from marts.customers where email = 'ann@example.com'"
    assert Warehouse(with_cards).rows(names) == Warehouse(shop_alone).rows(names)


@pytest.mark.skipif(
    importlib.util.find_spec("great_expectations") is None,
    reason="Great Expectations is not installed: make .venv/validate",
)
def test_the_raw_checks_know_the_strangers_expectations(project, tmp_path):
    flags = ("--raw", FIXTURE / "raw", "--state", tmp_path, "--sources", "loyalty_cards", "--as-of", CARDS["as_of_date"], "--json")
    done = script("validate_raw.py", *flags, "--html", tmp_path / "page.html", project=project)
    found = {(r["what"], r["table"], r["column"]): r["outcome"] for r in json.loads(done.stdout)["results"]}
    assert found["values are readable", "loyalty_cards.swipes", "swiped_at"] == "warn", "the swipe of yesterday"
    assert found["values refer", "loyalty_cards.swipes", "card_no"] == "warn", "card 9004"
    assert found["required columns are present", "loyalty_cards.cards", "card_no"] == "passed"


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        (
            "swipe_no as event_id",
            "cast(1 as integer) as event_id",
            "adapter 'loyalty_cards': loyalty_cards__events.event_id is integer, app.events needs varchar",
        ),
        (
            "branch as city",
            "branch as town",
            "adapter 'loyalty_cards': loyalty_cards__events.town is no column of app.events; known: event_id, ",
        ),
        (
            "    swiped_at as occurred_at\n",
            "    swiped_at as happened_at\n",
            "adapter 'loyalty_cards': loyalty_cards__events.occurred_at is missing, app.events needs it",
        ),
    ],
    ids=["wrong type", "unknown column", "missing column"],
)
def test_a_broken_contract_names_adapter_column_and_remedy(project, with_cards, right, wrong, message):
    model = project / "models/staging/loyalty_cards/loyalty_cards__events.sql"
    text = model.read_text()
    assert right in text
    model.write_text(text.replace(right, wrong))
    try:
        done = dbt(
            "run", "--select", "loyalty_cards__events+1", raw=FIXTURE / "raw", warehouse=with_cards, variables=CARDS, project=project, check=False
        )
    finally:
        model.write_text(text)
    assert done.returncode and message in done.stdout, done.stdout[-2000:]
    assert "SKIP relation staging.stg_app__events" in done.stdout, "nothing reads it"


# --- what is in a build -------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["canonical", "orders_file", "shopify", "segment mailchimp klaviyo shopify"])
def nodes(request, tmp_path_factory):
    """(adapters in use, the nodes of a build as dbt lists them)."""
    path = tmp_path_factory.mktemp("nodes") / "lifecycle.duckdb"
    keys = ("--output", "json", "--output-keys", "name", "resource_type", "original_file_path", "source_name")
    done = dbt(
        "--quiet", "ls", *keys, raw=FIXTURE / "raw", warehouse=path, variables={"sources": request.param.split()}
    )
    return set(request.param.split()), [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def known_adapters():
    return set(re.findall(r"^        '(\w+)': \{", ADAPTERS.read_text(), re.MULTILINE))


def test_no_node_of_an_unused_adapter_is_in_the_build(nodes):
    adapters, found = nodes
    folders = {node["original_file_path"].split("/")[2] for node in found if node["original_file_path"].startswith("models/staging/")}
    assert known_adapters() >= adapters
    assert folders & known_adapters() == adapters, "of every one that is used, and of no other"
    assert folders - known_adapters() <= {"shop", "app", "esp", "state", "_raw_files__sources.yml"}


def test_every_data_test_is_in_the_build(nodes):
    """A test that refers to a disabled model is left out by dbt without a word: tests/dbt/data_tests.txt lists what must be there."""
    adapters, found = nodes
    expected = set()
    for line in (PROJECT / "tests" / "dbt" / "data_tests.txt").read_text().split("\n"):
        *adapter, name = line.split(": ")
        if name and not name.startswith("#") and set(adapter) <= adapters:
            expected.add(name)
    there = {node["name"] for node in found if node["resource_type"] == "test"}
    assert len(expected) > 200
    assert sorted(expected - there) == [], "missing"
    assert sorted(there - expected) == [], "add them to tests/dbt/data_tests.txt"


def test_every_adapter_is_linted_and_has_its_page_and_its_expectations():
    """dbt shows sqlfluff only what is in use; the canonical layout is described in the README."""
    config = ConfigParser()
    config.read(PROJECT / ".sqlfluff")
    assert set(config["sqlfluff:templater:dbt:context"]["sources"].split()) == known_adapters()
    for name in known_adapters() - {"canonical", "orders_file", "online_retail"}:
        assert (PROJECT / "docs" / "sources" / f"{name}.md").exists(), name
        assert (PROJECT / "models" / "staging" / name / f"_{name}__expectations.yml").exists(), name


@pytest.mark.parametrize("role", ["shop", "app", "esp"])
def test_the_layout_of_canonical_is_the_contract(role):
    """Its models are not compared when they are built, as those of other adapters are."""
    staging = PROJECT / "models" / "staging"
    (source,) = yaml.safe_load((staging / "canonical" / f"_{role}__sources.yml").read_text())["sources"]
    contract = {model["name"]: model["columns"] for model in yaml.safe_load((staging / role / f"_{role}__models.yml").read_text())["models"]}
    assert {f"stg_{role}__{table['name']}" for table in source["tables"]} == contract.keys()
    for table in source["tables"]:
        given = {}
        for column in table["columns"]:
            given[column["name"]] = column["data_type"]
            if meta_of(column).get("also_utc"):
                given[column["name"].replace("_at", "_at_utc")] = column["data_type"]
        declared = [column for column in contract[f"stg_{role}__{table['name']}"] if not meta_of(column).get("derived")]
        assert given.items() <= {(column["name"], column["data_type"]) for column in declared}, table["name"]
        assert {column["name"] for column in declared if meta_of(column).get("required")} <= given.keys(), table["name"]


def meta_of(column):
    return column.get("config", {}).get("meta", {})
