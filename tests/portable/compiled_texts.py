"""
The compiled text of every model and data test, three times over: DuckDB's, Spark's, and a neutral one with a call in
place of each dispatched macro, in which nothing but what all engines share is left.

One `dbt compile` of a copy of the project gives all three: there every body `duckdb__x` returns all of its texts,
⟦DuckDB's¦Spark's¦engine_x(its arguments)⟧. All adapters are in use, and their raw tables are there and empty, each
declared column in one of the types that raw files have it in.
"""

import json
import re
import shutil
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import cycle
from pathlib import Path

import duckdb
import yaml

from calculated import KEY
from support import DEMO, PROJECT, dbt

# Arguments of dispatched macros that are no SQL (patterns, names, units): neutral calls leave them out.
NOT_SQL = {"pattern", "by", "names", "prefix", "zone", "target", "formats", "grain"}
# Dispatched macros that answer other macros, or are hooks: they write no SQL of a model.
NOT_TEXT = {"physical_type", "prepare_raw", "record_invocation"}
# Macros that dbt itself dispatches.
OF_DBT = {"load_csv_rows"}
# What raw files have where the source YAML declares this type; CSV has text everywhere.
RAW_TYPES = {
    "string": ["varchar"],
    "bigint": ["bigint", "varchar", "double"],
    "decimal(18, 4)": ["decimal(18, 4)", "varchar", "double"],
    "timestamp": ["timestamp", "varchar", "timestamptz", "integer"],
    "date": ["date", "varchar"],
    "boolean": ["boolean", "varchar"],
}
# Compiled with the rest: what the list must find, also in the arguments of a dispatched macro, and what it must not ...
PLANTED = """
select
    list_aggregate(numbers, 'sum') as a_list,
    strftime(created_on, '%Y') as written_year,
    orders::int as short_cast,
    unnest(numbers) as generator,
    cast(orders as varchar) as type_of_few,
    arg_max(orders, created_on) as other_name,
    orders % 2 as remainder,
    numbers[1] as element,
    "orders" as quoted,
    cast(orders as decimal) as digits_of_the_engine,
    {{ days_between('epoch(created_on)', 'seen_on') }} as in_an_argument,
    {{ matches(strip('name'), '^x') }} as in_bodies_only
from (from things select *) as things
group by all
"""
# ... and macros whose values are held against Python's, on each engine
CALCULATED = """
select
    id,
    {{ money_share('amount', 'part', 'whole') }} as share,
    {{ money_per('amount', 'number') }} as per_number,
    {{ money_times('amount', 'rate') }} as times_rate,
    {{ money_times('amount', 'number') }} as times_number,
    {{ days_between('first_day', 'last_day') }} as days,
    {{ months_between_months('first_day', 'last_day') }} as months,
    {{ add_days('first_day', 'days') }} as days_later,
    {{ year_before('first_day') }} as year_before,
    {{ next_month('first_day') }} as next_month,
    {{ month_label('first_day') }} as month_label,
    {{ wall_clock_to_utc('wall_clock') }} as in_utc,
    {{ change_zone('wall_clock', 'UTC', 'Europe/Berlin') }} as from_utc,
    {{ change_zone('wall_clock', 'Europe/Berlin', 'America/New_York') }} as in_new_york,
    {{ change_zone_by('wall_clock', 'Europe/Berlin', 'zone') }} as there,
    {{ strip('name') }} as stripped,
    {{ replace_matches('name', '[^0-9+]', '') }} as digits,
    {{ matches('name', '^[0-9]') }} as is_number,
    {{ sha256('name') }} as sha256,
    {{ keyed_hash('name') }} as keyed_hash,
    {{ hash_share('name') }} as hash_share
from things
"""
MACRO = re.compile(r"\{%-?\s*macro\s+(duckdb|spark|default)__(\w+)\(([^)]*)\)")
CHOICE = re.compile(r"⟦([^⟦¦⟧]*)¦([^⟦¦⟧]*)¦([^⟦¦⟧]*)⟧")
NO_SPARK_BODY = "no_spark_body_of_"


@dataclass
class Text:
    """A compiled model or data test; `relation` is the table that a model makes, if it is not part of others' texts."""

    unique_id: str
    name: str
    path: str
    relation: str | None
    reads: list[str]
    duckdb: str
    spark: str
    neutral: str

    @property
    def macros_without_spark_body(self):
        return sorted(set(re.findall(rf"{NO_SPARK_BODY}(\w+)", self.spark)))


@dataclass
class Compiled:
    texts: list[Text]
    planted: Text
    calculated: Text
    manifest: dict
    relations: dict[str, dict[str, str]]  # columns and their DuckDB types of everything that a text reads
    warehouse: Path  # where all of them are, and empty


def dispatched_macros(project=PROJECT):
    """By name: the arguments of each dispatched macro, and the engines that have a body for it."""
    texts = [path.read_text() for path in sorted((project / "macros").glob("*.sql"))]
    found = {name: ([], set()) for text in texts for name in re.findall(r"adapter\.dispatch\('(\w+)'", text)}
    for text in texts:
        for engine, name, arguments in MACRO.findall(text):
            if name in OF_DBT:
                continue
            names, engines = found[name]
            names[:] = [argument.split("=")[0].strip() for argument in arguments.split(",")]
            engines.add(engine)
    return dict(sorted(found.items()))


def compile_project(folder):
    """Every model and data test of the project, compiled in a new folder."""
    copy, warehouse = folder / "project", folder / "copy.duckdb"
    copy_project(copy)
    sources = make_raw_tables(copy, warehouse)
    # Spark's analyser looks for the file of the key
    key = warehouse.with_suffix(".state") / "key"
    key.parent.mkdir()
    key.write_text(KEY.hex() + "\n")
    options = {"raw": folder, "warehouse": warehouse, "variables": DEMO | {"sources": sources}, "project": copy}
    # the texts of roles depend on the columns that adapters have
    dbt("build", "--select", "+path:models/staging", "--exclude-resource-type", "test", **options)
    dbt("compile", **options)
    manifest = json.loads((warehouse.with_suffix(".target") / "manifest.json").read_text())
    nodes = [*manifest["nodes"].values(), *manifest["sources"].values()]
    names = {
        node["relation_name"]: f"{node['schema']}.{node.get('identifier') or node['alias']}"
        for node in nodes
        if node["relation_name"]
    }
    texts = []
    for node in nodes:
        if node["resource_type"] not in ("model", "test"):
            continue
        code = node["compiled_code"]
        # a quoted name that is left is one that somebody wrote
        for quoted, name in names.items():
            code = code.replace(quoted, name)
        texts.append(
            Text(
                unique_id=node["unique_id"],
                name=node["name"],
                path=node["original_file_path"],
                relation=names.get(node["relation_name"]) if node["resource_type"] == "model" else None,
                reads=node["depends_on"]["nodes"],
                duckdb=chosen(code, "duckdb"),
                spark=chosen(code, "spark"),
                neutral=chosen(code, "neutral"),
            )
        )
    own = {text.name: text for text in texts if text.name in ("planted", "calculated")}
    texts = [text for text in texts if text.name not in own]
    relations = columns_of_relations(texts, manifest, warehouse)
    return Compiled(texts, **own, manifest=manifest, relations=relations, warehouse=warehouse)


def copy_project(copy):
    # what has no SQL of its own costs half of dbt's time
    rest = shutil.ignore_patterns("__pycache__", "*__expectations.yml", "semantic", "exposures.yml", "*unit_tests.yml", "*.py", "node_modules", "fixtures")
    for name in ("models", "macros", "seeds", "tests"):
        shutil.copytree(PROJECT / name, copy / name, ignore=rest)
    # nothing is read from files here
    profiles = yaml.safe_load((PROJECT / "profiles.yml").read_text())
    for name in ("module_paths", "plugins"):
        profiles["customer_lifecycle"]["outputs"]["duckdb"].pop(name, None)
    (copy / "profiles.yml").write_text(yaml.safe_dump(profiles))
    settings = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())
    settings["on-run-start"] = ["{{ make_functions() }}"]
    del settings["on-run-end"]
    (copy / "dbt_project.yml").write_text(yaml.safe_dump(settings))
    (copy / "tests" / "dbt" / "planted.sql").write_text(PLANTED)
    (copy / "tests" / "dbt" / "calculated.sql").write_text(CALCULATED)

    macros = {name: macro for name, macro in dispatched_macros().items() if name not in NOT_TEXT}
    for path in (copy / "macros").glob("*.sql"):
        text = path.read_text()
        for name in macros:
            text = re.sub(rf"(macro\s+duckdb)__{name}\(", rf"\1_text__{name}(", text)
        path.write_text(text)
    (copy / "macros" / "all_texts.sql").write_text("\n".join(all_texts(name, *macro) for name, macro in macros.items()))


def all_texts(name, arguments, engines):
    """A body of a dispatched macro that returns all of its texts."""
    call = ", ".join(arguments)
    engine = next((engine for engine in ("spark", "default") if engine in engines), None)
    spark = f"{engine}__{name}({call})" if engine else f"'{NO_SPARK_BODY}{name}'"
    sql = " ~ ', ' ~ ".join(argument for argument in arguments if argument not in NOT_SQL) or "''"
    duckdb_text = f"duckdb_text__{name}({call})"
    texts = f"'⟦' ~ {duckdb_text} ~ '¦' ~ {spark} ~ '¦engine_{name}(' ~ {sql} ~ ')⟧'"
    body = f"{{{{ return({texts} if flags.WHICH == 'compile' else {duckdb_text}) }}}}"
    return f"{{% macro duckdb__{name}({call}) %}}{body}{{% endmacro %}}"


def chosen(code, engine):
    """Compiled code with one engine's text wherever there is a choice."""

    def choose(match):
        texts = dict(zip(("duckdb", "spark", "neutral"), match.groups(), strict=True))
        if engine != "neutral":
            return texts[engine]
        # a call is what it stands for: the `as` of a CTE, a whole query, a column with its name, or an expression
        if texts["duckdb"].startswith("as "):
            return "as"
        if re.match(r"\s*(with|select)\b", texts["duckdb"]):
            return f"select * from {texts['neutral']}"
        name = re.search(r" as \w+\s*$", texts["duckdb"])
        return texts["neutral"] + (name[0] if name else "")

    while "⟦" in code:
        code, count = CHOICE.subn(choose, code)
        assert count, "the texts of a dispatched macro were broken apart"
    return code


def make_raw_tables(project, warehouse):
    """Empty raw tables; returns the names of the adapters that read them."""
    adapters = set()
    types = {declared: cycle(forms) for declared, forms in RAW_TYPES.items()}
    with duckdb.connect(str(warehouse)) as connection:
        for path in sorted((project / "models" / "staging").rglob("*__sources.yml")):
            for source in yaml.safe_load(path.read_text())["sources"]:
                connection.execute("create schema if not exists raw_import")
                for table in source["tables"]:
                    is_file = "path" in table.get("config", {}).get("meta", {})
                    adapters |= {path.parent.name} if is_file else set()
                    columns = []
                    for column in table["columns"]:
                        declared = column.get("data_type", "string")
                        columns.append(f"{column['name']} {next(types[declared]) if is_file else declared}")
                    name = table.get("identifier", table["name"])
                    connection.execute(f"create table raw_import.{name} ({', '.join(columns)})")
    return sorted(adapters)


def columns_of_relations(texts, manifest, warehouse):
    """The columns of every raw table, seed and model, as DuckDB makes them."""
    models = {text.unique_id: text for text in texts if text.relation}
    order = TopologicalSorter({unique_id: [*filter(models.get, text.reads)] for unique_id, text in models.items()})
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("drop schema if exists staging cascade; drop schema if exists seeds cascade")
        for node in manifest["nodes"].values():
            connection.execute(f"create schema if not exists {node['schema']}")
            if node["resource_type"] == "seed":
                columns = ", ".join(f"{name} {type_}" for name, type_ in node["config"]["column_types"].items())
                connection.execute(f"create table {node['schema']}.{node['alias']} ({columns})")
        for unique_id in order.static_order():
            model = models[unique_id]
            connection.execute(f"create table {model.relation} as from ({model.duckdb}\n) limit 0")
        columns = connection.execute(
            "select table_schema || '.' || table_name, column_name, data_type from information_schema.columns "
            "order by table_schema, table_name, ordinal_position"
        ).fetchall()
    relations = {}
    for relation, column, type_ in columns:
        relations.setdefault(relation, {})[column] = type_
    return relations
