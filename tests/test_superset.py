"""The Superset dashboard: its YAML fits the published marts; where Superset is installed, its numbers are the marts'."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
import yaml

from support import PROJECT

sys.path.append(str(PROJECT / "scripts" / "superset"))
import check as superset_check

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
    "update marts.customers set net_revenue = net_revenue + 0.0001 where stage = 'at_risk'",
    "update marts.orders set net_amount = net_amount + 0.01 where rowid in (select max(rowid) from marts.orders where person_id is not null)",
    "update marts.orders set net_amount = net_amount + 0.01 where person_id in (select person_id from marts.customers where stage = 'loyal')",
    "update marts.campaign_engagement set clicked = clicked - 1 where clicked > 0",
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
    """Those with SQL of their own have that of their SQL, and no column that tells people apart."""
    for name, dataset in load("datasets").items():
        if "sql" in dataset:
            continue
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


def test_the_filters_act_on_the_charts_that_have_their_column():
    datasets = {dataset["uuid"]: dataset for dataset in load("datasets").values()}
    charts = {chart["uuid"]: chart for chart in load("charts").values()}
    (dashboard,) = load("dashboards").values()
    places = [item["meta"] for item in dashboard["position"].values() if isinstance(item, dict) and item["type"] == "CHART"]
    columns = {
        place["chartId"]: {column["column_name"] for column in datasets[charts[place["uuid"]]["dataset_uuid"]]["columns"]} for place in places
    }
    filters = {item["name"]: item for item in dashboard["metadata"]["native_filter_configuration"]}
    assert set(filters) == {"Month", "Country", "Acquisition channel", "Stage", "Month of stage changes"}
    for name, item in filters.items():
        (target,) = item["targets"]
        column = target["column"]["name"]
        assert column in {column["column_name"] for column in datasets[target["datasetUuid"]]["columns"]}
        assert sorted(item["chartsInScope"] + item["scope"]["excluded"]) == sorted(columns), name
        assert all(column in columns[chart] for chart in item["chartsInScope"]), name
    on = {place["sliceName"]: {name for name, item in filters.items() if place["chartId"] in item["chartsInScope"]} for place in places}
    assert on["Net revenue by month"] == on["Money by month"] == {"Month", "Country", "Acquisition channel", "Stage"}
    assert on["Stage sizes"] == {"Country", "Acquisition channel", "Stage"} and on["Campaign engagement"] == {"Month"}
    assert {chart for chart, *_ in superset_check.FILTERED.items()} <= set(on)


@pytest.fixture(scope="module")
def measured(published_demo, tmp_path_factory):
    """The demo with a measured audience, so that every chart has rows."""
    path = tmp_path_factory.mktemp("superset") / "customer_lifecycle.duckdb"
    shutil.copy(published_demo, path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("""update marts.campaign_results set treated_people = 90, control_people = 10, treated_conversion_rate = 0.2,
            control_conversion_rate = 0.1, difference = 0.1, difference_low = -0.05, difference_high = 0.3 where audience = 'lapsed'""")
    return path


def drawn(connection, chart, only=None):
    """What a chart's query means, as plain SQL over its dataset: its columns, metrics and conditions."""
    (dataset,) = (dataset for dataset in load("datasets").values() if dataset["uuid"] == chart["dataset_uuid"])
    (query,) = yaml.safe_load(chart["query_context"])["queries"]
    expressions = {column["column_name"]: column.get("expression", f'"{column["column_name"]}"') for column in dataset["columns"]}
    metrics = {metric["metric_name"]: metric["expression"] for metric in dataset["metrics"]}
    names = [column if isinstance(column, str) else column["label"] for column in query["columns"] + query.get("groupby", [])]
    grouped = [f'{expressions[name]} as "{name}"' for name in names]
    measures = [f'{metrics[name]} as "{name}"' for name in query.get("metrics", [])]
    where = [query["extras"]["where"] or "true", *([f"{only[0]} = '{only[1]}'"] if only else [])]
    source = f"({dataset['sql']})" if "sql" in dataset else f"{dataset['schema']}.{dataset['table_name']}"
    groups = f"group by {', '.join(expressions[name] for name in names)}" if measures else ""
    cursor = connection.execute(f"select {', '.join(grouped + measures)} from {source} where {' and '.join(where)} {groups}")
    names = [column[0] for column in cursor.description]
    return superset_check.table(names, [dict(zip(names, row, strict=True)) for row in cursor.fetchall()])


def test_the_definition_says_what_the_marts_hold_without_superset(measured):
    """Each chart's own query, and each filter on it, against SQL written by hand; and a change in a mart would be seen."""
    filters, wanted = superset_check.ask_duckdb(measured)
    charts = {chart["slice_name"]: chart for chart in load("charts").values()}
    assert wanted.keys() == charts.keys() | filters.keys()
    with duckdb.connect(str(measured), read_only=True) as connection:
        shown = {name: drawn(connection, chart) for name, chart in charts.items()}
        shown |= {name: drawn(connection, charts[chart], only) for name, (chart, *only) in filters.items()}
    for name, answer in wanted.items():
        assert len(answer[1]) > 0, f"{name} has no rows to compare"
        assert superset_check.differences(shown[name], answer) == (0, ""), name
    with duckdb.connect(str(measured)) as connection:
        for change in CHANGES:
            connection.execute(change)
    changed = superset_check.ask_duckdb(measured)[1]
    assert [name for name in wanted if superset_check.differences(shown[name], changed[name]) == (0, "")] == []


def test_the_sql_of_datasets_shows_no_single_person(measured):
    models = [model for path in MODELS.rglob("_*__models.yml") for model in yaml.safe_load(path.read_text())["models"]]
    personal = {column["name"] for model in models for column in model.get("columns", ()) if column["config"]["meta"]["pii"] != "none"}
    with duckdb.connect(str(measured), read_only=True) as connection:
        for dataset in load("datasets").values():
            columns = [column["column_name"] for column in dataset["columns"] if "expression" not in column]
            assert not personal & set(columns)
            if "sql" in dataset:
                assert [column[0] for column in connection.execute(dataset["sql"]).description] == columns


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
    assert len(lines) == len(load("charts")) + len(superset_check.FILTERED)
    # a chart without rows, such as campaigns nobody has measured yet, has no number to alter
    assert [line for line in lines if not re.search(r"  DIFFERS in \d+: | 0  equal$", line)] == []
