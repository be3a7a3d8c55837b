"""The project as a package of another one: integration_tests/ is what a stranger would write."""

import json
import shutil
from pathlib import Path

import duckdb
import pytest
import yaml

from raw_reader.variables import misspelt
from support import NO_UNIT_TESTS, PROJECT, Warehouse, dbt, script

ANALYTICS = {"analytics_raw_import", "analytics_staging", "analytics_intermediate", "analytics_seeds", "analytics_marts"}


@pytest.fixture(scope="module")
def small_raw(tmp_path_factory):
    raw = tmp_path_factory.mktemp("package") / "raw"
    done = script("generate_demo_data.py", "--customers", 300, "--as-of", "2026-06-30", "--out", raw)
    assert done.returncode == 0, done.stderr
    return raw


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    """The project around it, with the package installed by dbt, used from a folder that is neither's."""
    folder = tmp_path_factory.mktemp("roastery")
    shutil.copytree(PROJECT / "integration_tests", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("dbt_packages", "target", "logs"))
    (folder / "packages.yml").write_text(f"packages:\n  - local: {PROJECT}\n")
    done = run(folder, "deps", raw="nowhere", warehouse=folder / "roastery.duckdb")
    assert "Installed from" in done.stdout
    return folder


def run(folder, *arguments, **options):
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    return dbt(*arguments, "--project-dir", folder, "--profiles-dir", folder, project=elsewhere, **options)


@pytest.fixture(scope="module")
def built(parent, small_raw):
    path = parent / "roastery.duckdb"
    done = run(parent, "build", *NO_UNIT_TESTS, raw=small_raw, warehouse=path)
    assert "WARN" not in done.stdout.replace("WARN=0", ""), done.stdout[-3000:]
    return path


def test_it_builds_in_schemas_of_its_own_with_the_variables_of_the_project_around_it(built):
    with duckdb.connect(str(built), read_only=True) as connection:
        schemas = {row[0] for row in connection.execute("select distinct schema_name from duckdb_columns() where not internal").fetchall()}
        loyal = connection.execute("select count(*) from analytics_marts.customers where is_loyal_customer").fetchone()
        four = connection.execute("select count(*) from analytics_marts.customers where orders_count >= 4").fetchone()
        own = connection.execute("select count(*), count(net_revenue) from analytics_roastery.customers").fetchone()
        customers = connection.execute("select count(*) from analytics_marts.customers where is_customer").fetchone()
    assert schemas - {"main"} == ANALYTICS | {"analytics_roastery", "audit"}
    assert 0 < loyal[0] == four[0]
    assert own == customers * 2, "its own model of the same name is its own"


def test_its_audience_is_one_of_them(built):
    with duckdb.connect(str(built), read_only=True) as connection:
        members = connection.execute("select person_id from analytics_marts.audience_members where audience = 'espresso_regulars'").fetchall()
        expected = connection.execute("select person_id from analytics_marts.customers where orders_count >= 4").fetchall()
        listed = connection.execute("select audience, fields from analytics_marts.audience_summary order by 1").fetchall()
    assert sorted(members) == sorted(expected)
    assert [name for name, _ in listed] == ["espresso_regulars", "win_back"], "those that it lists, and no other"
    assert listed[0][1] == "first_name, city, next_product"


def test_selectors_and_lineage_reach_from_its_audience_to_the_members(parent, small_raw):
    done = run(
        parent, "--quiet", "ls", "-s", "+audience_members", "--resource-type", "model", "--output", "json", "--output-keys", "unique_id",
        raw=small_raw, warehouse=parent / "other.duckdb",
    )
    found = {json.loads(line)["unique_id"] for line in done.stdout.splitlines() if line.startswith("{")}
    assert {"model.roastery.espresso_regulars", "model.customer_lifecycle.win_back"} <= found
    assert "model.customer_lifecycle.at_risk" not in found


def test_two_projects_share_a_warehouse_and_each_is_published(built, small_raw, tmp_path):
    """The second has plain schemas, and has not been built as a whole."""
    shared = tmp_path / "shared.duckdb"
    shutil.copy(built, shared)
    options = {"raw": small_raw, "warehouse": shared}
    dbt("build", *NO_UNIT_TESTS, "--exclude-resource-type", "test", "-s", "+build_settings", variables={"as_of_date": "2026-01-31"}, **options)
    days = [Warehouse(shared).row(f"select as_of_date from {schema}.build_settings")[0].isoformat() for schema in ("marts", "analytics_marts")]
    assert days == ["2026-01-31", "2026-06-30"]
    published = tmp_path / "published.duckdb"
    refused = script("publish.py", "--warehouse", shared, "--published", published)
    assert refused.returncode == 3 and "never been built as a whole" in refused.stderr
    done = script("publish.py", "--warehouse", shared, "--published", published, LIFECYCLE_MARTS_SCHEMA="analytics_marts")
    assert done.returncode == 0, done.stderr
    with duckdb.connect(str(published), read_only=True) as connection:
        assert connection.execute("select count(*) from marts.audience_summary").fetchone() == (2,)
    state = tmp_path / "state"
    recorded = script("record_state.py", "--warehouse", shared, "--state", state, "--schema", "analytics_marts")
    assert "of 2 audiences" in recorded.stdout, recorded.stderr


def test_a_model_of_the_project_around_it_takes_nobodys_place(parent, small_raw):
    """Without dbt's flag its `customers` would be read by every mart of the package."""
    project = parent / "dbt_project.yml"
    text = project.read_text()
    settings = yaml.safe_load(text)
    del settings["flags"]["require_ref_searches_node_package_before_root"]
    settings["vars"]["customer_lifecycle"]["loyal_min_order"] = settings["vars"]["customer_lifecycle"].pop("loyal_min_orders")
    project.write_text(yaml.safe_dump(settings))
    try:
        done = run(parent, "run", "-s", "int_as_of", raw=small_raw, warehouse=parent / "other.duckdb", check=False)
    finally:
        project.write_text(text)
    assert done.returncode
    assert "models/customers.sql has the name of a model of customer_lifecycle" in done.stdout
    assert "variable loyal_min_order (dbt_project.yml): there is no such variable; did you mean 'loyal_min_orders'?" in done.stdout


@pytest.mark.parametrize(
    ("project", "given", "expected"),
    [
        ({"name": "customer_lifecycle", "vars": {"active_days": 30}}, {"sources": ["shop"]}, []),
        (
            {"name": "customer_lifecycle", "vars": {"activ_days": 30}},
            {"as_off_date": "2026-06-30", "colour": "red"},
            [
                "variable activ_days (dbt_project.yml): there is no such variable; did you mean 'active_days'?",
                "variable as_off_date (--vars): there is no such variable; did you mean 'as_of_date'?",
                "variable colour (--vars): there is no such variable; dbt_project.yml of this package has them all",
            ],
        ),
        (
            {"name": "shop", "vars": {"surrogate_key_treat_nulls_as_empty_strings": True, "customer_lifecycle": {"colour": "red"}}},
            {"run_day": "2026-06-30", "business_time_zones": "UTC"},
            [
                "variable business_time_zones (--vars): there is no such variable; did you mean 'business_time_zone'?",
                "variable colour (dbt_project.yml): there is no such variable; dbt_project.yml of this package has them all",
            ],
        ),
    ],
    ids=["right", "misspelt", "of others"],
)
def test_a_misspelt_variable_is_named(project, given, expected, tmp_path):
    (tmp_path / "dbt_project.yml").write_text(yaml.safe_dump(project))
    assert misspelt(Path(tmp_path), given) == expected


def test_texts_with_quotes_are_no_sql(small_raw, tmp_path):
    warehouse = tmp_path / "quotes.duckdb"
    variables = {"holdout_salt": "o'clock", "high_value_region": "Land's End"}
    options = {"raw": small_raw, "warehouse": warehouse, "variables": variables}
    dbt("compile", "-s", "audience_members", **options)
    compiled = (warehouse.with_suffix(".target") / "compiled/customer_lifecycle/models/marts/audiences/audience_members.sql").read_text()
    assert "'o''clock:'" in compiled and "'Land''s End'" in compiled
