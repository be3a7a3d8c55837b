"""What every model and mart owes its reader."""

import json
import re
from collections import defaultdict

import duckdb
import pytest
import yaml

import lifecycle_report
from audience_export import rows
from support import PROJECT, Warehouse, dbt

SQL = sorted((PROJECT / "models").rglob("*.sql")) + sorted((PROJECT / "macros").rglob("*.sql"))


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    """Every seed and model, built from a file of a few orders without a warning."""
    path = tmp_path_factory.mktemp("project") / "lifecycle.duckdb"
    no_tests = ["--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"]
    raw = PROJECT / "tests/fixtures/orders"
    done = dbt(
        "build", "--no-partial-parse", *no_tests, raw=raw, warehouse=path, variables={"sources": ["orders_file"]}
    )
    said = done.stdout.replace("WARN=0", "")
    assert not re.search("warn|deprecat", said, re.IGNORECASE), said
    opened = Warehouse(path)
    yield opened
    opened.connection.close()


@pytest.fixture(scope="module")
def manifest(warehouse):
    return json.loads((warehouse.path.with_suffix(".target") / "manifest.json").read_text())


def test_marts_have_enforced_contracts_descriptions_and_questions(manifest):
    marts = [
        node
        for node in manifest["nodes"].values()
        if node["path"].startswith("marts/") and node["resource_type"] == "model" and "audience" not in node["meta"]
    ]
    assert len(marts) >= 14
    for mart in marts:
        assert mart["config"]["contract"]["enforced"], mart["name"]
        assert mart["description"].count("?") >= 2, f"{mart['name']}: two questions that it answers"
        for column in mart["columns"].values():
            assert column["description"] and column["data_type"], f"{mart['name']}.{column['name']}"


def test_sources_are_described(manifest):
    for node in manifest["sources"].values():
        assert node["description"], node["name"]
        assert all(column["description"] for column in node["columns"].values()), node["name"]


def test_every_column_of_every_table_is_described_and_no_other(manifest, warehouse):
    """Of every layer; a base model by its source, a model of an adapter by the canonical table that it gives."""
    columns = defaultdict(set)
    for schema, table, column in warehouse.rows(
        "select table_schema, table_name, column_name from information_schema.columns"
    ):
        columns[schema, table].add(column)
    problems = []
    for node in manifest["nodes"].values():
        if node["resource_type"] not in ("model", "seed"):
            continue
        if node["config"]["materialized"] == "ephemeral":
            built = {column for column, *_ in warehouse.rows(f"describe {node['compiled_code']}")}
        else:
            built = columns[node["schema"], node["alias"]]
        described = described_columns(manifest, node)
        assert built, f"{node['name']} was not built"
        if not node["description"]:
            problems.append(f"{node['name']} has no description")
        problems += [f"{node['name']}.{name} is not described" for name in sorted(built - described)]
        if node["columns"]:
            problems += [f"{node['name']}.{name} is described, but not there" for name in sorted(described - built)]
    assert not problems, "\n".join(problems)


def described_columns(manifest, node):
    """The columns of a model that its own YAML, its source's or its canonical table's describes."""
    columns = {name for name, column in node["columns"].items() if column["description"]}
    if node["name"].startswith("base_"):
        source, table = node["name"].removeprefix("base_").split("__")
        (raw,) = (known for known in manifest["sources"].values() if (known["source_name"], known["name"]) == (source, table))
        utc = {name.replace("_at", "_at_utc") for name, column in raw["columns"].items() if column["meta"].get("also_utc")}
        columns |= {*raw["columns"], *utc, "row_key", "row_status", "reject_reason", "raw_row", "row_remark"}
    elif node["path"].startswith("staging/") and not node["name"].startswith("stg_"):
        for role in ("shop", "app", "esp"):
            table = f"model.customer_lifecycle.stg_{role}__{node['name'].split('__')[-1]}"
            columns |= {*manifest["nodes"].get(table, {"columns": {}})["columns"]} - {"source_system"}
    return columns


def test_without_an_app_habits_are_there_and_say_nothing(warehouse):
    """Every person is a row; what is counted is 0, what is not known null, and what defines the goals is there."""
    people, rows = warehouse.row("select count(*) from marts.customers")[0], warehouse.dicts("select * from marts.customer_habits")
    assert len(rows) == people > 0
    known = {"person_id": None, "onboarding_steps": 4, "key_features": 4}
    for row in rows:
        assert {name: value for name, value in row.items() if value and name not in known} == {}
        assert row["onboarding_steps"] == row["key_features"] == 4
        assert row["active_days_90d"] == row["longest_streak_days"] == row["sessions_30d"] == row["onboarding_steps_done"] == 0
        assert row["is_slipping"] is row["viewed_not_bought"] is row["wished_not_bought"] is False
    for mart in ("habit_metrics", "active_day_histogram", "onboarding_cohorts"):
        assert warehouse.row(f"select count(*) from marts.{mart}") == (0,)


def test_macros_that_models_and_tests_call_are_described(manifest):
    called = {macro for node in manifest["nodes"].values() for macro in node["depends_on"]["macros"]}
    own = {name for name in called if name.startswith(f"macro.{manifest['metadata']['project_name']}.")}
    assert len(own) > 30
    assert {name for name in own if not manifest["macros"][name]["description"]} == set()


def test_metrics_are_described_and_owned_things_have_an_owner(manifest):
    described = [*manifest["metrics"].values(), *manifest["semantic_models"].values(), *manifest["exposures"].values()]
    described += manifest["groups"].values()
    assert len(described) > 70
    assert [thing["name"] for thing in described if not thing["description"]] == []
    for model in manifest["semantic_models"].values():
        parts = [*model["measures"], *model["dimensions"]]
        assert [part["name"] for part in parts if not part["description"]] == [], model["name"]
    models = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    assert [model["name"] for model in models if not model["config"]["group"]] == []


def test_exposures_are_what_reads_the_marts(manifest):
    destinations = yaml.safe_load((PROJECT / "destinations.yml").read_text())["destinations"]
    exposures = {exposure["name"]: exposure for exposure in manifest["exposures"].values()}
    assert {name for name in exposures if name.startswith("audiences_to_")} == {
        f"audiences_to_{name}" for name in destinations
    }
    read = {
        name: {manifest["nodes"][model]["name"] for model in exposure["depends_on"]["nodes"]} for name, exposure in exposures.items()
    }
    marts = {node["name"] for node in manifest["nodes"].values() if node["schema"] == "marts"}
    assert all(models and models <= marts for models in read.values()), "they read published marts only"
    with duckdb.connect() as connection:
        tables = set().union(*(connection.get_table_names(query) for query in lifecycle_report.QUERIES.values()))
    assert read["lifecycle_report"] == tables & marts
    datasets = [yaml.safe_load(path.read_text()) for path in (PROJECT / "scripts" / "superset" / "dashboard").glob("datasets/*/*.yaml")]
    with duckdb.connect() as connection:
        shown = set().union(*(connection.get_table_names(data.get("sql", f"from {data['table_name']}")) for data in datasets))
    assert all(models == rows.MARTS.keys() for name, models in read.items() if name.startswith("audiences_to_"))
    assert read["bi_dashboard"] == shown


@pytest.mark.parametrize("path", SQL, ids=lambda path: path.stem)
def test_no_clock_and_no_floating_money_in_sql(path):
    code = re.sub(r"\{#.*?#\}|--[^\n]*", "", path.read_text(), flags=re.DOTALL)
    assert not re.search(
        r"\b(current_date|current_timestamp|now\(\)|today\(\)|get_current_timestamp)", code, re.IGNORECASE
    )
    assert not re.search(r"(amount|price|cost)\w*\s+as\s+(double|float|real)", code, re.IGNORECASE)


def test_the_marketers_page_names_every_audience(manifest):
    page = (PROJECT / "docs" / "audiences.md").read_text()
    names = {node["name"] for node in manifest["nodes"].values() if "audience" in node["config"]["meta"]}
    assert len(names) >= 21
    assert {name for name in names if f"`{name}`" not in page} == set()
    listed = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"]["audiences"]
    assert sorted(names) == listed


def test_the_release_is_one_number(warehouse):
    """In dbt_project.yml, in the macro that models can read, and at the head of the changelog."""
    version = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["version"]
    assert warehouse.row("select version from marts.build_settings") == (version,)
    assert re.search(r"^## (\S+)", (PROJECT / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == version
