"""What every model and mart owes its reader."""

import json
import re
from pathlib import Path

import pytest

from support import PROJECT, dbt

SQL = sorted((PROJECT / "models").rglob("*.sql")) + sorted((PROJECT / "macros").rglob("*.sql"))


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    warehouse = tmp_path_factory.mktemp("parse") / "lifecycle.duckdb"
    done = dbt("parse", "--no-partial-parse", raw=PROJECT, warehouse=warehouse)
    assert not re.search("warn|deprecat", done.stdout, re.IGNORECASE), done.stdout
    return json.loads(Path(warehouse.with_suffix(".target") / "manifest.json").read_text())


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


def test_sources_and_seeds_are_described(manifest):
    described = [
        *manifest["sources"].values(),
        *(n for n in manifest["nodes"].values() if n["resource_type"] == "seed"),
    ]
    for node in described:
        assert node["description"], node["name"]
        assert all(column["description"] for column in node["columns"].values()), node["name"]


@pytest.mark.parametrize("path", SQL, ids=lambda path: path.stem)
def test_no_clock_and_no_floating_money_in_sql(path):
    code = re.sub(r"\{#.*?#\}|--[^\n]*", "", path.read_text(), flags=re.DOTALL)
    assert not re.search(
        r"\b(current_date|current_timestamp|now\(\)|today\(\)|get_current_timestamp)", code, re.IGNORECASE
    )
    assert not re.search(r"(amount|price|cost)\w*\s+as\s+(double|float|real)", code, re.IGNORECASE)


def test_the_marketers_page_names_every_audience():
    page = (PROJECT / "docs" / "audiences.md").read_text()
    files = {path.stem for path in (PROJECT / "models/marts/audiences").glob("*.sql") if "'audience':" in path.read_text()}
    assert len(files) >= 21
    assert {name for name in files if f"`{name}`" not in page} == set()
