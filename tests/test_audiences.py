"""Audiences: who is in them, what the state freezes, what adding a file does, and what campaigns are found to add."""

import itertools
import json
import math
import shutil
from datetime import date, timedelta

import duckdb
import pytest
import yaml

from audience_export.rows import check_contract
from audience_export.run import connect
from support import DEMO, NO_UNIT_TESTS, PROJECT, Warehouse, dbt, script

AS_OF = date.fromisoformat(DEMO["as_of_date"])
PLANTED_EFFECT = 0.15  # generate_demo_data.py: 15 in 100 of the treated order once more
BIG_SPENDERS = """{{ config(meta={'audience': {
    'purpose': 'Thank those who spend most', 'owner': 'crm', 'campaign': none, 'channels': ['email'],
    'objective': 'loyalty', 'holdout_share': 0.5, 'minimum_size': 5, 'fields': ['first_name', 'next_product', 'consented_at'],
}}) }}

select
    person_id,
    cast(null as date) as entered_on
from {{ ref('customers') }}
where net_revenue >= 1000
"""
ITS_UNIT_TEST = """unit_tests:
  - name: who_spends_1000_is_a_big_spender
    model: big_spenders
    given:
      - input: ref('customers')
        rows: [{person_id: a, net_revenue: 1000}, {person_id: b, net_revenue: 999.99}]
    expect: {rows: [{person_id: a, entered_on: null}]}
"""


# what these rest on is not in customers; tests/test_campaigns.py and tests/test_habit_audiences.py say their rules once more
OF_CAMPAIGN_FACTS = {
    "cross_sell", "loyalty_rewards", "multi_location", "referral_invitation", "replacement_due",
    "slipping_habit", "onboarding_stuck", "feature_not_found", "upgrade_candidates", "browsed_not_bought",
}  # fmt: skip


def rule(audience, p, bounds):
    """Whether a person belongs to an audience: said once more, in Python, from facts rather than stages where it can be."""
    at_risk, lapsed, new = bounds
    days = (bounds.as_of - p["last_order_date"]).days if p["orders_count"] else -1
    quiet = (bounds.as_of - p["last_activity_date"]).days if p["last_activity_date"] else 10**6
    r, f, m = p["r_score"] or 0, p["f_score"] or 0, p["m_score"] or 0
    return (
        p["stage"] != "erased"
        and {
            "stage_new": p["orders_count"] == 1 and days <= new,
            "champions": r == 5 and f >= 4,
            "at_risk": at_risk < days <= lapsed,
            "lapsed": days > lapsed,
            "passive_30d": quiet >= 30,
            "onboarding": (bounds.as_of - p["first_seen_at"].date()).days < 14,
            "first_purchase_offer": p["orders_count"] == 0 and p["stage"] == "evaluating",
            "second_order_nudge": p["orders_count"] == 1 and days <= at_risk,
            "engagement": p["orders_count"] == 0 and quiet < 30 and p["stage"] != "evaluating",
            "feedback_request": at_risk < days <= lapsed,
            "dormant_sms_offer": r in (1, 2) and f in (1, 2),
            "exclusive_content": (r == 3 and f in (1, 2)) or (r in (1, 2) and f == 5),
            "win_back": days > lapsed and m >= 4,
            "high_value_in_region": p["region"] == "Berlin" and m >= 4,
            "lookalike_seed": f >= 4 and r >= 3 and m >= 4,
            "let_go": days > lapsed and r == 1 and m <= 2,
        }[audience]
    )


class Bounds(tuple):
    """The thresholds of a build: at risk, lapsed, new."""

    def __new__(cls, marts, as_of):
        row = marts.row("select at_risk_after_days, lapsed_after_days, new_days from marts.stage_thresholds")
        self = super().__new__(cls, row)
        self.as_of = as_of
        return self


def check_rules(marts, as_of):
    """Each audience holds exactly whom its rule names. Returns the sizes."""
    people = marts.dicts("select * from marts.customers")
    bounds, sizes = Bounds(marts, as_of), {}
    for (audience,) in marts.rows("select audience from marts.audience_summary"):
        members = {
            row[0] for row in marts.rows(f"from marts.audience_members select person_id where audience = '{audience}'")
        }
        if audience not in OF_CAMPAIGN_FACTS:
            assert members == {p["person_id"] for p in people if rule(audience, p, bounds)}, audience
        sizes[audience] = len(members)
    assert len(sizes) >= 21 and sizes.keys() >= OF_CAMPAIGN_FACTS
    return sizes


def record(warehouse, state):
    return script("record_state.py", "--warehouse", warehouse, "--state", state)


def project_copy(folder, *audiences):
    """The project in another folder, to change it there, with more names in the list of audiences."""
    for name in ("models", "macros", "seeds", "tests"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("*.py", "__pycache__", "fixtures"))
    for name in ("dbt_project.yml", "profiles.yml", "selectors.yml", ".dbtignore"):
        shutil.copy(PROJECT / name, folder / name)
    settings = folder / "dbt_project.yml"
    first = "    - at_risk\n"
    assert first in settings.read_text()
    settings.write_text(settings.read_text().replace(first, first + "".join(f"    - {name}\n" for name in audiences)))
    return folder


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Raw data and state of the demo."""
    folder = tmp_path_factory.mktemp("audiences")
    options = ("--as-of", AS_OF, "--out", folder / "raw", "--state", folder / "state")
    done = script("generate_demo_data.py", *options)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def built(demo, tmp_path_factory):
    """A warehouse of the demo, built with its state, which then is recorded."""
    path = tmp_path_factory.mktemp("built") / "lifecycle.duckdb"
    dbt(
        "build",
        *NO_UNIT_TESTS,
        raw=demo / "raw",
        warehouse=path,
        variables=DEMO,
        LIFECYCLE_STATE=str(demo / "state"),
    )
    done = record(path, demo / "state")
    assert (done.returncode, "recorded" in done.stdout) == (0, True), done.stderr
    return path


@pytest.fixture(scope="module")
def marts(built):
    return Warehouse(built)


def test_every_audience_holds_exactly_whom_its_rule_names(marts):
    sizes = check_rules(marts, AS_OF)
    assert all(sizes.values()), f"an audience without people: {sizes}"
    stages = dict(marts.rows("select stage, people from marts.stage_summary"))
    assert sizes["stage_new"] == stages["new"]
    assert sizes["at_risk"] == sizes["feedback_request"] == stages["at_risk"]
    assert sizes["lapsed"] == stages["lapsed"] >= sizes["win_back"] + sizes["let_go"]
    assert sizes["first_purchase_offer"] == stages["evaluating"]
    assert sizes["engagement"] == stages["engaged"]
    one_order = stages["one_time"] + stages["new"]
    assert sizes["second_order_nudge"] == one_order
    active, everybody = marts.row(
        "select count_if(is_active_30d), count(*) from marts.customers where stage != 'erased'"
    )
    assert sizes["passive_30d"] == everybody - active


def test_summary_counts_the_members(marts):
    for row in marts.dicts("select * from marts.audience_summary"):
        channels = row["channels"].split(", ")
        reachable = " or ".join(f"can_{channel}" for channel in channels)
        counts = marts.row(
            f"select count(*), count_if({reachable}), count_if(({reachable}) and is_holdout) "
            f"from marts.audience_members where audience = '{row['audience']}'"
        )
        assert counts == (row["people"], row["reachable"], row["held_out"])
        assert row["to_send"] == row["reachable"] - row["held_out"]


def test_people_at_the_bounds_are_on_the_right_side_with_an_orders_file_only(tmp_path):
    """One customer for every number of days around every threshold, with 1, 2 and 5 orders; and nothing but orders."""
    as_of = date(2024, 6, 30)
    bounds = (13, 14, 15, 29, 30, 31, 60, 61, 119, 120, 121, 300)
    lines = [
        f"c{days}-{orders},{as_of - timedelta(days=days + 3 * n)},{10 * orders}"
        for days, orders in itertools.product(bounds, (1, 2, 5))
        for n in range(orders)
    ]
    lines.append(f"came-back,{as_of - timedelta(days=300)},9\ncame-back,{as_of - timedelta(days=30)},9")
    (tmp_path / "orders.csv").write_text("customer_id,ordered_at,amount\n" + "\n".join(lines) + "\n")
    variables = {
        **{"sources": ["orders_file"], "as_of_date": str(as_of), "business_time_zone": "UTC"},
        **{"reporting_currency": "USD", "at_risk_after_days": 60, "lapsed_after_days": 120},
    }
    path = tmp_path / "lifecycle.duckdb"
    dbt("build", *NO_UNIT_TESTS, raw=tmp_path, warehouse=path, variables=variables)
    marts = Warehouse(path)
    sizes = check_rules(marts, as_of)
    events_needed = {"first_purchase_offer", "engagement", *OF_CAMPAIGN_FACTS} - {"loyalty_rewards", "referral_invitation"}
    assert {audience for audience, size in sizes.items() if not size} == {*events_needed, "high_value_in_region"}
    assert sizes["at_risk"] == 3 * 3 and sizes["lapsed"] == 2 * 3 and sizes["stage_new"] == 5
    results = marts.dicts("select * from marts.campaign_results")
    assert len(results) == len(sizes) and {row["result"] for row in results} == {"not measured"}


def test_held_out_shares_are_as_asked(marts):
    fresh = marts.rows(
        "select audience, count(*), count_if(is_holdout), any_value(holdout_share) from marts.audience_changes "
        "where event = 'entered' and audience not in ('lapsed', 'at_risk') group by audience"
    )
    assert len(fresh) >= 14
    for audience, people, held_out, share in fresh:
        assert abs(held_out - people * share) <= 3 * math.sqrt(people * share * (1 - share)), audience
    people, held_out = map(sum, zip(*((n, k) for _, n, k, share in fresh if share == 0.1), strict=True))
    assert abs(held_out - people * 0.1) <= 3 * math.sqrt(people * 0.1 * 0.9)
    assert marts.row("select count(*) from marts.audience_changes where is_holdout and holdout_share = 0") == (0,)


def test_state_is_added_to_and_never_rewritten(demo, built, tmp_path):
    folder = demo / "state" / "audience_events"
    before = {path.name: path.read_bytes() for path in folder.glob("*.parquet")}
    assert set(before) == {"2026-04-16.parquet", f"{AS_OF}.parquet"}
    assert folder.joinpath(f"{AS_OF}.parquet").stat().st_mode & 0o077 == 0
    again = record(built, demo / "state")
    assert (again.returncode, "knows 2026-06-30 already" in again.stdout) == (0, True)
    later = tmp_path / "later"
    shutil.copytree(demo / "state", later)
    duckdb.execute(
        f"copy (select date '2026-07-01' as as_of_date, 'x' as audience, 'built' as event) to '{later}/audience_events/z.parquet'"
    )
    assert "already" in record(built, later).stdout
    assert record(built, tmp_path / "empty").returncode == 3, "this build saw another state"

    red = tmp_path / "red.duckdb"
    shutil.copy(built, red)
    with duckdb.connect(str(red)) as connection:
        connection.execute("update audit.invocations set is_green = false")
    done = record(red, tmp_path / "none")
    assert (done.returncode, "did not end green" in done.stderr) == (3, True)
    assert not list((tmp_path / "none").rglob("*.parquet"))
    assert {path.name: path.read_bytes() for path in folder.glob("*.parquet")} == before


def test_the_demo_leaves_a_real_state_alone(demo, tmp_path):
    (tmp_path / "audience_events").mkdir()
    done = script("generate_demo_data.py", "--as-of", AS_OF, "--out", tmp_path / "raw", "--state", tmp_path)
    assert (done.returncode, "is not the state of a demo" in done.stderr) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["audience_events"]


def test_nothing_draws_an_assignment_again(demo, built, marts, tmp_path):
    """A new warehouse, from shuffled rows, with other shares and rules and another salt: those assigned stay."""
    project = project_copy(tmp_path / "project")
    wider = project / "models/marts/audiences/at_risk.sql"
    wider.write_text(
        wider.read_text()
        .replace("'holdout_share': 0.1", "'holdout_share': 0.9")
        .replace("stage = 'at_risk'", "stage in ('at_risk', 'lapsed', 'lead')")
    )
    shuffled = tmp_path / "raw"
    for path in (demo / "raw").rglob("*.parquet"):
        target = shuffled / path.relative_to(demo / "raw")
        target.parent.mkdir(parents=True, exist_ok=True)
        duckdb.execute(f"copy (select * from read_parquet('{path}') order by random()) to '{target}'")
    path = tmp_path / "lifecycle.duckdb"
    options = ("--project-dir", str(project), "--exclude-resource-type", "unit_test", "test", "--select")
    dbt(
        *("build", *options, "+audience_summary"),
        raw=shuffled,
        warehouse=path,
        variables=DEMO | {"holdout_salt": "another"},
        LIFECYCLE_STATE=str(demo / "state"),
    )
    query = "select audience, person_id, is_holdout, entered_on from marts.audience_members"
    before, after = ({row[:2]: row[2:] for row in warehouse.rows(query)} for warehouse in (marts, Warehouse(path)))
    assert all(after[key] == value for key, value in before.items())
    newcomers = [held_out for key, (held_out, _) in after.items() if key not in before]
    assert newcomers and {key[0] for key in after.keys() - before.keys()} == {"at_risk"}
    assert abs(sum(newcomers) - 0.9 * len(newcomers)) <= 3 * math.sqrt(len(newcomers) * 0.09)
    summary = "select audience, people, previous_as_of_date, people_entered, people_left from marts.audience_summary"
    unchanged = f"{summary} where audience != 'at_risk' order by all"
    assert Warehouse(path).rows(unchanged) == marts.rows(unchanged), "recording a day changes nothing about it"


def test_two_people_who_turn_out_to_be_one_keep_the_earliest_assignment(tmp_path):
    raw, state = tmp_path / "raw", tmp_path / "state" / "audience_events"
    (raw / "shop").mkdir(parents=True)
    state.mkdir(parents=True)
    (raw / "shop" / "customers.csv").write_text(
        "customer_id,email,created_at\n1,a@example.com,2024-01-01\n2,A@example.com,2024-02-01\n"
        "3,c@example.com,2024-01-01\n4,C@example.com,2024-02-01\n"
    )
    (raw / "shop" / "orders.csv").write_text(
        "order_id,customer_id,ordered_at,gross_amount\no1,1,2024-06-20,5\no2,3,2024-06-20,5\n"
    )
    people = {number: f"md5('shop:customer:{number}')" for number in "1234"}
    events = [
        ("2024-06-20", "2", True),
        ("2024-06-21", "1", False),
        ("2024-06-20", "4", False),
        ("2024-06-21", "3", True),
    ]
    for number, (day, person, is_holdout) in enumerate(events):
        duckdb.execute(
            f"copy (select date '{day}' as as_of_date, 'stage_new' as audience, 'entered' as event, "
            f"{people[person]} as person_id, date '{day}' as entered_on, {is_holdout} as is_holdout, 0.5::double as holdout_share) "
            f"to '{state}/{number}.parquet'"
        )
    path = tmp_path / "lifecycle.duckdb"
    dbt(
        *("build", *NO_UNIT_TESTS, "test", "--select", "+audience_members"),
        raw=raw,
        warehouse=path,
        variables=DEMO | {"sources": ["shop"], "as_of_date": "2024-06-30"},
        LIFECYCLE_STATE=str(state.parent),
    )
    found = Warehouse(path).rows(
        "select customers.primary_customer_id, is_holdout, cast(entered_on as varchar) from marts.audience_members "
        "inner join marts.customers using (person_id) where audience = 'stage_new' order by all"
    )
    assert found == [("1", True, "2024-06-20"), ("3", False, "2024-06-20")]


def test_adding_a_file_and_its_line_is_adding_an_audience(demo, built, tmp_path):
    """By `-s`: in the marts, in the lineage, in the state and in the export, on the same day; its unit test runs, too."""
    project = project_copy(tmp_path / "project", "big_spenders")
    file = project / "models/marts/audiences/big_spenders.sql"
    file.write_text(BIG_SPENDERS)
    file.with_suffix(".yml").write_text(ITS_UNIT_TEST)
    warehouse, state = tmp_path / "lifecycle.duckdb", tmp_path / "state"
    shutil.copy(built, warehouse)
    shutil.copytree(demo / "state", state)
    place = {"raw": demo / "raw", "warehouse": warehouse, "variables": DEMO, "LIFECYCLE_STATE": str(state)}
    there = ("--project-dir", str(project))
    done = dbt("build", *there, "--select", "big_spenders+", **place)
    assert "PASS big_spenders::who_spends_1000_is_a_big_spender" in done.stdout
    marts = Warehouse(warehouse)
    (expected,) = marts.row("select count(*) from marts.customers where net_revenue >= 1000 and stage != 'erased'")
    assert marts.row("select people from marts.audience_summary where audience = 'big_spenders'") == (expected,)
    assert marts.row("select count(*) from marts.audience_members where audience = 'big_spenders'") == (expected,)
    assert marts.row("select count(*) from marts.campaign_results where audience = 'big_spenders'") == (1,)
    marts.connection.close()
    manifest = json.loads((warehouse.with_suffix(".target") / "manifest.json").read_text())
    node = manifest["nodes"]["model.customer_lifecycle.big_spenders"]
    assert node["config"]["meta"]["audience"]["purpose"] == "Thank those who spend most"
    assert node["depends_on"]["nodes"] == ["model.customer_lifecycle.customers"]
    children = manifest["child_map"]["model.customer_lifecycle.big_spenders"]
    assert {"model.customer_lifecycle.audience_members", "model.customer_lifecycle.int_audiences"} <= {*children}
    shown = dbt("show", *there, "--select", "big_spenders", "--limit", "-1", "--output", "json", "--quiet", **place)
    assert len(json.loads(shown.stdout)["show"]) >= expected

    assert "of 1 audiences" in record(warehouse, state).stdout, "the others were recorded that day"
    assert (state / "audience_events" / f"{AS_OF}-2.parquet").exists()
    published = tmp_path / "published" / "customer_lifecycle.duckdb"
    assert script("publish.py", "--warehouse", warehouse, "--published", published).returncode == 0
    out = tmp_path / "exports"
    options = ("--from", published, "--out", out, "--state", state, "--override", "source_age_hours=off")
    done = script("export_audiences.py", *options, "--override", "empty=off", "--reason", "a test")
    assert done.returncode in (0, 5), done.stdout + done.stderr
    assert list(out.glob("*/csv/big_spenders.csv"))

    file.write_text(BIG_SPENDERS.replace("customers", "customer_campaign_facts").replace("net_revenue >= 1000", "is_advocate"))
    file.with_suffix(".yml").unlink()
    dbt("build", *there, "--select", "audience_members+", **place)
    marts = Warehouse(warehouse)
    (advocates,) = marts.row("select count(*) from marts.customer_campaign_facts where is_advocate")
    assert 0 < advocates != expected
    assert marts.row("select people from marts.audience_summary where audience = 'big_spenders'") == (advocates,)


def test_the_lineage_of_members_names_every_audience(demo, tmp_path):
    names = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"]["audiences"]
    done = dbt(
        *("ls", "--quiet", "--select", "+audience_members", "--resource-type", "model", "--output", "name"),
        raw=demo / "raw", warehouse=tmp_path / "lifecycle.duckdb",
    )
    assert len(names) >= 21 and {*names} <= {*done.stdout.split()}


def test_fields_are_what_the_exporter_can_write(built, demo, tmp_path):
    """Columns of marts that the export reads, and what it adds of its own: the two lists are one."""
    published = tmp_path / "customer_lifecycle.duckdb"
    assert script("publish.py", "--warehouse", built, "--published", published).returncode == 0
    warehouse = tmp_path / "lifecycle.duckdb"
    shutil.copy(built, warehouse)
    done = dbt(
        "compile", "--quiet", "--inline", "{{ audience_fields() | join(' ') }}",
        raw=demo / "raw", warehouse=warehouse, variables=DEMO,
    )
    accepted = done.stdout.split()
    assert {"next_product", "replacement_product", "loyalty_tier", "city", "region"} <= {*accepted}
    with connect(published, tmp_path) as connection:
        assert sorted(accepted) == sorted(check_contract(connection))


WRONG = {
    "no_objective": ("'objective': 'loyalty', ", "", "meta.audience needs 'objective'"),
    "misspelt": ("'owner'", "'ower'", "meta.audience does not know 'ower'; known: campaign,"),
    "fax": ("['email']", "['fax']", "unknown channel 'fax'; known: email, sms, push, ads"),
    "text": ("['email']", "'email'", "channels must be a list, such as ['email']"),
    "nowhere": ("['email']", "[]", "channels must name at least one of"),
    "shoes": ("['first_name'", "['shoe_size'", "there is no column 'shoe_size' to send in customers or customer_campaign_facts"),
    "too_much": ("0.5", "1.01", "holdout_share '1.01' must be a number from 0 to 1"),
    "half": ("0.5", "'half'", "holdout_share 'half' must be a number from 0 to 1"),
    "few": ("5, 'fields'", "-5, 'fields'", "minimum_size '-5' must be a whole number, 0 or more"),
    "undated": ("entered_on", "since", "its SQL must select entered_on, too"),
    "no_meta": ("'audience': {", "'audiences': {", "meta.audience must be a list of settings"),
    "Capital": ("'crm'", "'crm'", "the file's name must be lower-case letters"),
    "not_listed": ("'crm'", "'crm'", "not_listed.sql is not in the list; add not_listed to the variable audiences"),
}


def test_a_wrong_audience_says_so_in_one_line_before_anything_is_built(demo, tmp_path):
    """Whatever is selected."""
    project, warehouse = project_copy(tmp_path / "project", *WRONG.keys() - {"not_listed"}), tmp_path / "lifecycle.duckdb"
    for name, (this, that, _) in WRONG.items():
        assert this in BIG_SPENDERS
        (project / f"models/marts/audiences/{name}.sql").write_text(BIG_SPENDERS.replace(this, that))
    done = dbt(
        *("build", "--project-dir", str(project), "--select", "lifecycle_stages"),
        raw=demo / "raw", warehouse=warehouse, variables=DEMO, check=False,
    )
    assert done.returncode
    for name, (_, _, message) in WRONG.items():
        (line,) = [line for line in done.stdout.splitlines() if message in line]
        assert f"audience {name}: " in line
    with duckdb.connect(str(warehouse)) as connection:
        assert connection.execute("select count(*) from information_schema.tables").fetchone() == (0,)


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        (["lapsed", "nowhere"], "depends on a node named 'nowhere' which was not found"),
        (["lapsed", "lapsed"], "variable audiences: 'lapsed' is in the list twice"),
        ("lapsed", "variable audiences: a list of names of models is needed"),
    ],
)
def test_a_wrong_list_of_audiences_says_so_in_one_line(demo, tmp_path, listed, message):
    warehouse = tmp_path / "lifecycle.duckdb"
    done = dbt(
        *("build", "--select", "lifecycle_stages"),
        raw=demo / "raw", warehouse=warehouse, variables=DEMO | {"audiences": listed}, check=False,
    )
    assert done.returncode and not warehouse.exists()
    (line,) = [line for line in done.stdout.splitlines() if message in line]
    assert "nowhere" not in listed or "models/intermediate/audiences/int_audiences.sql" in line


def wilson(successes, n, z=1.959963984540054):
    rate = successes / n
    middle, spread = rate + z * z / (2 * n), z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)


def newcombe(successes, n, others, m):
    """The 95 % interval of a difference of proportions: Newcombe 1998, method 10."""
    (low, high), (other_low, other_high) = wilson(successes, n), wilson(others, m)
    rate, other = successes / n, others / m
    return (
        rate - other - math.hypot(rate - low, other_high - other),
        rate - other + math.hypot(high - rate, other - other_low),
    )


def test_the_oracle_of_the_interval_knows_the_published_cases():
    """Newcombe 1998, table II."""
    assert newcombe(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert newcombe(9, 10, 3, 10) == pytest.approx((0.1705, 0.8090), abs=5e-5)
    assert newcombe(0, 10, 0, 20) == pytest.approx((-0.1611, 0.2775), abs=5e-5)


def test_the_planted_effect_is_found_and_none_where_none_is(marts):
    results = {row["audience"]: row for row in marts.dicts("select * from marts.campaign_results")}
    planted, nothing = results["lapsed"], results["at_risk"]
    for row in (planted, nothing):
        bounds = newcombe(
            row["treated_conversions"], row["treated_people"], row["control_conversions"], row["control_people"]
        )
        assert (row["difference_low"], row["difference_high"]) == pytest.approx(bounds)
        assert row["waiting_people"] == 0 and row["treated_people"] + row["control_people"] == row["assigned_people"]
    assert 0 < planted["difference_low"] <= PLANTED_EFFECT <= planted["difference_high"]
    assert planted["smallest_detectable_difference"] < PLANTED_EFFECT
    assert planted["result"] == "treated convert more"
    assert planted["return_on_spend"] == pytest.approx(float(planted["treated_revenue"]) / 1100)
    assert nothing["difference_low"] < 0 < nothing["difference_high"]
    assert nothing["result"] == "no difference shown"
    assert {row["result"] for name, row in results.items() if name not in ("lapsed", "at_risk")} == {"not measured"}


def test_conversions_are_orders_in_the_window_by_whoever_was_assigned(marts, demo):
    """The state and the orders mart, joined by hand."""
    days = duckdb.sql(f"""
        select person_id, is_holdout, as_of_date from read_parquet('{demo}/state/audience_events/2026-04-16.parquet')
        where audience = 'lapsed' and event = 'entered'""").fetchall()
    people = dict(marts.rows("select record_id, person_id from intermediate.int_identity_map"))
    arms = {people[person_id]: is_holdout for person_id, is_holdout, _ in days}
    drawn_on, end = date(2026, 4, 16), date(2026, 5, 16)
    orders = marts.rows("select person_id, order_date, net_amount from marts.orders")
    bought = [(person, amount) for person, day, amount in orders if person in arms and drawn_on < day <= end]
    treated = {person for person, _ in bought if not arms[person]}
    row = marts.dicts("select * from marts.campaign_results where audience = 'lapsed'")[0]
    assert (row["assigned_people"], row["treated_conversions"]) == (len(arms), len(treated))
    assert row["treated_revenue"] == sum(amount for person, amount in bought if not arms[person])
