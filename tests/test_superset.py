"""The Superset dashboard: its YAML fits the published marts; where Superset is installed, its numbers are the marts'."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import duckdb
import pytest
import yaml

from support import PROJECT

ROOT = PROJECT / "scripts" / "superset" / "dashboard"
PYTHON = PROJECT / ".venv-superset" / "bin" / "python"
MODELS = PROJECT / "models" / "marts"
# one change in every mart that a chart reads, on the row that is easiest to overlook: a single cell
CHANGES = [
    """update marts.lifecycle_metrics set customers = customers + 1, active_users = active_users + 1,
        repeat_customer_rate = repeat_customer_rate + 1e-6, user_activation_rate = user_activation_rate + 1e-6
        where metric_date = (select max(metric_date) from marts.lifecycle_metrics)""",
    "update marts.growth_accounting set churned = churned + 1 where month = (select min(month) from marts.growth_accounting)",
    "update marts.cohort_retention set retention = retention + 1e-6 where is_complete and period_index = 1",
    "update marts.rfm_grid set customers = customers + 1 where r_score = 3 and f_score = 3",
    "update marts.stage_summary set net_revenue = net_revenue + 0.0001 where stage = 'at_risk'",
    """update marts.stage_transitions set people = people + 1 where from_stage = 'loyal' and to_stage = 'at_risk'""",
    "update marts.audience_summary set held_out = held_out + 1 where audience = 'lapsed'",
    "update marts.campaign_results set result = 'x'",
]


def load(folder):
    return {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / folder).rglob("*.yaml")}


@pytest.fixture(scope="module")
def contracts():
    """{mart: its columns} as the models' YAML has them."""
    models = [model for path in MODELS.rglob("_*__models.yml") for model in yaml.safe_load(path.read_text())["models"]]
    return {model["name"]: [column["name"] for column in model["columns"]] for model in models if "columns" in model}


def test_datasets_have_the_columns_of_their_marts(contracts):
    for name, dataset in load("datasets").items():
        assert [column["column_name"] for column in dataset["columns"] if "expression" not in column] == contracts[name]


def test_every_reference_is_there():
    (database,) = load("databases").values()
    datasets = {dataset["uuid"]: dataset for dataset in load("datasets").values()}
    charts = load("charts").values()
    (dashboard,) = load("dashboards").values()
    assert {dataset["database_uuid"] for dataset in datasets.values()} == {database["uuid"]}
    items = [item for item in dashboard["position"].values() if isinstance(item, dict) and item["type"] == "CHART"]
    shown = {item["meta"]["uuid"]: item["meta"]["sliceName"] for item in items}
    assert shown == {chart["uuid"]: chart["slice_name"] for chart in charts}
    for chart in charts:
        dataset = datasets[chart["dataset_uuid"]]
        (query,) = yaml.safe_load(chart["query_context"])["queries"]
        params = chart["params"]
        # what the browser draws and what the check asks are the same question
        assert query.get("metrics", []) == params.get("metrics", [params["metric"]] if "metric" in params else [])
        assert set(query.get("metrics", [])) <= {metric["metric_name"] for metric in dataset["metrics"]}
        filters = " AND ".join(f"({item['sqlExpression']})" for item in params["adhoc_filters"])
        assert query["extras"]["where"] == filters
        if "all_columns" in params:
            assert query["columns"] == params["all_columns"]


def test_the_database_is_read_only_and_shut_in():
    (database,) = load("databases").values()
    assert database["sqlalchemy_uri"].endswith("?access_mode=read_only&enable_external_access=false")
    assert not any(database[right] for right in ("allow_ctas", "allow_cvas", "allow_dml", "allow_csv_upload"))


def check(*arguments):
    return subprocess.run([PYTHON, PROJECT / "scripts/superset/check.py", *arguments], capture_output=True, text=True)


def test_superset_shows_the_marts_and_the_check_can_fail(tmp_path):
    if not PYTHON.exists():
        pytest.skip("Superset is not installed: make superset-check")
    published = Path(os.environ.get("LIFECYCLE_PUBLISHED", PROJECT / "published" / "customer_lifecycle.duckdb"))
    if not published.exists():
        pytest.skip(f"there is no {published}: make demo")
    equal = check("--published", published)
    assert equal.returncode == 0, equal.stdout + equal.stderr[-2000:]
    altered = tmp_path / "altered.duckdb"
    shutil.copy(published, altered)
    with duckdb.connect(str(altered)) as con:
        for change in CHANGES:
            con.execute(change)
    different = check("--published", published, "--expected", altered)
    assert different.returncode == 1
    lines = different.stdout.splitlines()[1:-1]
    assert len(lines) == len(load("charts")) + 1
    # a chart without rows, such as campaigns nobody has measured yet, has no number to alter
    assert [line for line in lines if not re.search(r"  DIFFERS in \d+: | 0  equal$", line)] == []
