"""Publish only who said no, of a build that must not be published as a whole.

Writes <published>_noes.duckdb beside the published marts, which stay as they are: who may be contacted, the suppression list,
and of people what they are known by; no audience, and nothing that was bought. `export_audiences.py run --noes-only` reads it.
Only if customer_channels and suppression_list were built by dbt's last run and no test of theirs failed.

Exit codes: 0 published, 1 unexpected, 2 usage, 3 these models or their tests are not green either, 75 busy: try again.
"""

import argparse
import os
import sys
from pathlib import Path

import duckdb

import run_log
from audience_export import rows
from common import USAGE, WRONG, Problem, quoted, read_json, run_script, written_whole
from publish import STORAGE_VERSION, add_schema, only_one

CONSENT = ("customer_channels", "suppression_list")
NEEDED = (*CONSENT, "int_as_of", "int_profiles", "int_phone_keys", "int_erased_people")
EMPTY = {"VARCHAR": "varchar", rows.NUMBER: "bigint", "DATE": "date", rows.TIME: "timestamp", "BOOLEAN": "boolean"}
CUSTOMERS = """
    select profiles.* replace (
            {hidden}
        ),
        case when erased.person_id is null then phones.phone_e164 end as phone_e164,
        case when erased.person_id is not null then 'erased' end as stage,
        {reach}
    from {int_profiles} as profiles
    inner join (select person_id, {reaches} from {customer_channels} group by person_id) as channels using (person_id)
    left join {int_phone_keys} as phones on profiles.phone = phones.phone and profiles.phone_region = phones.region
    left join {int_erased_people} as erased on profiles.person_id = erased.person_id
"""


def noes_of(published):
    """Where they are, given where the marts are."""
    return published.with_name(f"{published.stem}_noes{published.suffix}")


def relations(target, connection, schema):
    """{model: its relation} of dbt's last run; raise Problem unless what it says of consent can be relied on."""
    results, nodes = read_json(target / "run_results.json"), read_json(target / "manifest.json")["nodes"]
    newest = connection.execute(
        "select invocation_id from warehouse.audit.invocations where coalesce(marts_schema, 'marts') = ? "
        "order by started_at desc, rowid desc limit 1",
        [schema],
    ).fetchone()
    if newest != (results["metadata"]["invocation_id"],):
        raise Problem(WRONG, f"{target} is not of the last run of this warehouse; run `dbt build`")
    status = {result["unique_id"]: result["status"] for result in results["results"]}
    ids = {node["name"]: name for name, node in nodes.items() if node["resource_type"] == "model" and node["name"] in NEEDED}
    before, left = set(), list(ids.values())
    while left:
        before.add(left[-1])
        left += [name for name in nodes.get(left.pop(), {}).get("depends_on", {}).get("nodes", []) if name not in before]
    for model, name in ids.items():
        if status.get(name) != "success":
            raise Problem(WRONG, f"{model} was not built, so nothing is known of who said no")
    for name, node in nodes.items():
        tested = set(node["depends_on"]["nodes"]) if node["resource_type"] == "test" else set()
        # a test that needs other models, too, fails and is left out with them, unless it is about consent
        says_no = status.get(name) in ("fail", "error", "runtime error")
        is_theirs = tested and tested <= before and (says_no or status.get(name) == "skipped")
        if is_theirs or (says_no and tested & {ids[model] for model in CONSENT}):
            raise Problem(WRONG, f"{node['name']} is not green, so nothing is published of who said no")
    settings = run_log.settings() | (results["args"].get("vars") or {})
    return {
        nodes[name]["name"]: f'warehouse."{nodes[name]["schema"]}"."{nodes[name]["alias"]}"' for name in ids.values()
    }, settings


def copy_noes(connection, made, settings, target):
    """Write the file: what the exporter's contract names is there, and empty where it says nothing of consent."""
    connection.execute(f"attach {quoted(target)} as published (storage_version {quoted(STORAGE_VERSION)})")
    connection.execute("create schema published.marts")
    profile = [row[0] for row in connection.execute(f"describe {made['int_profiles']}").fetchall()]
    hidden = [f"case when erased.person_id is null then profiles.{name} end as {name}" for name in profile if name != "person_id"]
    reach = {f"can_{channel}": f"bool_or(channel = '{channel}' and can_contact)" for channel in ("email", "sms", "push", "ads")}
    shown = CUSTOMERS.format(
        hidden=", ".join(hidden), reach=", ".join(reach),
        reaches=", ".join(f"{condition} as {name}" for name, condition in reach.items()), **made,
    )  # fmt: skip
    given = {
        "customers": shown, **{mart: f"from {made[mart]}" for mart in CONSENT},
        "lifecycle_metrics": f"select as_of_date as metric_date from {made['int_as_of']}",
        "build_settings": f"select {quoted(settings['business_time_zone'])} as business_time_zone",
        "audience_members": None, "noes_only": f"select as_of_date from {made['int_as_of']}",
    }  # fmt: skip
    for mart, query in given.items():
        there = {row[0] for row in connection.execute(f"describe {query}").fetchall()} if query else ()
        absent = [
            f"cast(null as {EMPTY[kind]}) as {name}"
            for kind, names in rows.MARTS.get(mart, {}).items()
            for name in names.split()
            if name not in there
        ]
        columns = ", ".join([*["*"] * bool(query), *absent])
        connection.execute(
            f"create table published.marts.{mart} as select {columns} " + (f"from ({query})" if query else "where false")
        )
    connection.execute("checkpoint published")
    return connection.execute("select count(*) from published.marts.suppression_list").fetchone()[0]


def publish(warehouse, published, target, schema):
    if not warehouse.exists():
        raise Problem(USAGE, f"there is no warehouse {warehouse} (LIFECYCLE_WAREHOUSE); run `dbt build`")
    published.parent.mkdir(parents=True, exist_ok=True)
    file = noes_of(published)
    os.umask(0o077)
    with only_one(published.parent, "publish_noes"):
        for leftover in published.parent.glob(f".{file.name}.*"):  # of killed runs
            leftover.unlink()
        with written_whole(file) as partial, duckdb.connect() as connection:
            connection.execute(f"attach {quoted(warehouse)} as warehouse (read_only)")
            made, settings = relations(target, connection, schema)
            count = copy_noes(connection, made, settings, partial)
    print(f"published who said no as {file}: {count} addresses are listed")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    for name, default in (("warehouse", "warehouse/lifecycle.duckdb"), ("published", "published/customer_lifecycle.duckdb")):
        parser.add_argument(f"--{name}", type=Path, default=os.environ.get(f"LIFECYCLE_{name.upper()}", default))
    parser.add_argument(
        "--target", type=Path, default=os.environ.get("DBT_TARGET_PATH", "target"), help="what dbt wrote of its last run"
    )
    add_schema(parser)
    options = parser.parse_args(arguments)
    return run_script(
        "publish_noes", lambda: publish(options.warehouse, options.published, options.target, options.schema),
        warehouse=options.warehouse, published=options.published, target=options.target,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
