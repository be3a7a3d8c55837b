"""Files: write, split at a destination's limits, read back and judge (lint), make durable.

Errors: Problem 1 that names the file, the column, the rule and how many values break it; never a value.
"""

import csv
import hashlib
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor

import duckdb

from common import written_whole

from . import rows
from .config import UNEXPECTED, USAGE, Problem, read_back


def reader(path, form, separator, types):
    """A table expression over a written file. types: {header: DuckDB type}. Empty text is null."""
    columns = ", ".join(f"{rows.literal(header)}: {rows.literal(kind)}" for header, kind in types.items())
    return {
        "csv": f"read_csv({rows.literal(path)}, auto_detect = false, header = true, delim = '{separator}', "
               f"quote = '\"', escape = '\"', columns = {{{columns}}}, strict_mode = true)",
        "parquet": f"read_parquet({rows.literal(path)})",
        "jsonl": f"read_json({rows.literal(path)}, format = 'newline_delimited', columns = {{{columns}}})"}[form]


def write(con, stem, delivery, source, columns, kind, fields):  # noqa: PLR0917
    """Write columns [(header, expression)] of `from source` to stem.csv, or stem-01.csv … when that is over a limit.

    kind: 'audience', 'removed', 'suppress', or 'old' of identifiers in a shape that the delivery may no longer have.
    fields: of `rows.check_contract`. Returns a record for each file.
    """
    form, limits = delivery.spec["format"], delivery.spec.get("limits", {})
    separator = delivery.spec.get("separator", ",")
    options = {"csv": f"format csv, header true, delimiter '{separator}', quote '\"', escape '\"', nullstr ''",
               "parquet": "format parquet", "jsonl": "format json"}[form]
    names = ", ".join(f"{sql} as {rows.quoted(header)}" for header, sql in columns)
    types = {row[0]: row[1] for row in con.execute(f"describe select {names} from {source} limit 0").fetchall()}
    total = con.execute(f"select count(*) from {source}").fetchone()[0]
    # In order while that is cheap: people read and compare small files, nobody large ones.
    order = "order by all" if total <= 100_000 else ""
    parts = max(1, -(-total // limits.get("rows", 1 << 62)))
    while True:
        paths = [stem.with_name(f"{stem.name}{f'-{part + 1:02}' * (parts > 1)}.{form}") for part in range(parts)]
        for part, path in enumerate(paths):
            if path.exists():
                raise Problem(USAGE, f"{delivery.name}/{path.name}: two audiences would be this file; rename one")
            number = "row_number() over (order by rowid)"
            where = f"qualify ({number} - 1) * {parts} // {total} = {part}" if parts > 1 else ""
            con.execute(f"copy (select {names} from {source} {where} {order}) to {rows.literal(path)} ({options})")
        size = max(path.stat().st_size for path in paths)
        if size <= limits.get("bytes", size):
            break
        if parts >= total:
            raise Problem(UNEXPECTED, f"{delivery.name}/{stem.name}: one row is more than {limits['bytes']} bytes")
        for path in paths:
            path.unlink()
        parts = min(total, max(parts + 1, parts * size * 21 // (limits["bytes"] * 20)))
    with ThreadPoolExecutor(1) as background:  # the disk and one core would idle while a file is read back
        seals = background.map(seal, paths)
        return [{"path": f"{delivery.name}/{path.name}", "rows": lint(con, path, delivery, types, kind, fields, [header for header, _ in columns]),
                 "bytes": path.stat().st_size, "sha256": next(seals), "columns": types} for path in paths]


def lint(con, path, delivery, types, kind, fields, headers=None):  # noqa: PLR0917
    """Read a written file back and hold it against its destination's spec. Returns its number of rows.

    headers: those that were to be written, where they do not follow from the delivery alone.
    """
    spec, limits, where = delivery.spec, delivery.spec.get("limits", {}), f"{delivery.name}/{path.name}"
    columns = delivery.suppress_columns() if kind == "suppress" else delivery.columns
    columns = [column for column in columns if column.identifier or kind not in ("removed", "old")]
    wanted = [column.header for column in columns if column.identifier or not delivery.payload]
    if spec["format"] == "csv":
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            found = next(csv.reader(file, delimiter=spec.get("separator", ",")), [])
        if found != (headers or wanted + [delivery.payload[key] for key in ("updated_at", "column") if key in delivery.payload]):
            raise Problem(UNEXPECTED, f"{where}: the header line is not what the destination takes")
    ids = [rows.quoted(column.header) for column in columns if column.identifier]
    rules = {f"each row needs {' or '.join(ids)}": f"coalesce({', '.join(ids)}) is null", **payload_rules(delivery)}
    for column in columns if kind != "old" else ():
        name = rows.quoted(column.header)
        if delivery.payload and not column.identifier:
            place = "/" + column.header.replace("~", "~0").replace("/", "~1")
            payload = f"try_cast({rows.quoted(delivery.payload['column'])} as json)"
            name = f"json_extract_string({payload}, {rows.literal(place)})"
        elif types.get(column.header) != "VARCHAR" and not delivery.hashes(column):
            continue
        for rule, broken in column_rules(delivery, column, name, fields, kind).items():
            rules[f"{column.header} {rule}"] = broken
    counts = ", ".join(f"count(*) filter (where {broken})" for broken in rules.values())
    table = reader(path, spec["format"], spec.get("separator", ","), types)
    try:
        total, distinct, *broken = con.execute(
            f"select count(*), count(distinct hash(coalesce({', '.join(ids)}))), {counts} from {table}").fetchone()
    except duckdb.Error:
        raise Problem(UNEXPECTED, f"{where}: does not read back as UTF-8 {spec['format']} with its columns") from None
    size = path.stat().st_size
    for limit, value in (("bytes", size), ("rows", total), ("columns", len(types))):
        if value > limits.get(limit, value):
            raise Problem(UNEXPECTED, f"{where}: {value} {limit}, but the destination takes {limits[limit]}")
    for rule, count in [("no identifier may come twice", total - distinct), *zip(rules, broken, strict=True)]:
        if count:
            raise Problem(UNEXPECTED, f"{where}: {rule}; {count} of {total} rows break it")
    return total


def payload_rules(delivery):
    """{rule: condition that a row breaks it} of a payload and its time."""
    rules, names = {}, {key: rows.quoted(header) for key, header in delivery.payload.items()}
    if "updated_at" in names:
        broken = f"try_strptime({names['updated_at']}, {rows.literal(rows.STAMP)}) is null"
        rules[f"{names['updated_at']} must be ISO 8601 in UTC"] = broken
    if "column" in names:
        broken = f"coalesce(json_type(try_cast({names['column']} as json)), '') <> 'OBJECT'"
        rules[f"{names['column']} must be a JSON object"] = broken
    return rules


def column_rules(delivery, column, name, fields, file):
    """{rule: condition that a value breaks it} of one column of a file: 'audience', 'removed' or 'suppress'. name: the
    SQL of its value, a text unless the column should hold hashes.
    """
    spec, (kind, _), kinds = delivery.spec, fields.get(column.field, (None, None)), delivery.kinds(column.field)
    if column.field is None:
        value = "null" if column.constant is None else rows.literal(column.constant)
        special = (column.constant or "")[:1] in ("{", "[")  # of the list's own, or JSON, which is read back otherwise
        return {} if special else {f"must be {value}": f"{name} is distinct from {value}"}
    if delivery.hashes(column):
        empty = hashlib.sha256(delivery.salt.encode()).hexdigest()
        return {"must be a lower-case SHA-256, not of nothing":
                f"{name}::varchar = '{empty}' or not regexp_full_match({name}::varchar, '[0-9a-f]{{64}}')"}
    if kind != "VARCHAR" and not kinds:
        form = delivery.time_form(kind, column.field)
        broken = f"{read_back(name, rows.literal(form), form)} is null and {name} is not null"
        return {f"must be a time like {form}": broken} if re.fullmatch(rows.TIMED, kind) else {}
    if column.field == "phone":
        pattern = rows.E164[2:] if kinds == ["digits"] else rows.E164
        return {"must be a phone number": f"not regexp_full_match({name}, '{pattern}')"}
    rules = {f"may hold no {rule}": rows.breaks(rule, name) for rule in delivery.refused(column)
             if (file, rule) != ("suppress", "formula")}
    if kinds[:1] == ["country"]:
        rules["must be a country's code"] = f"not regexp_full_match({name}, '[A-Za-z]{{2}}')"
    if column.field == "email":
        rules["must be an e-mail address"] = f"not regexp_full_match({name}, {rows.literal(rows.EMAIL)})"
    if "text_bytes" in spec:
        rules[f"may hold {spec['text_bytes']} bytes"] = f"strlen({name}) > {spec['text_bytes']}"
    return rules


def write_json(path, node):
    """Write JSON so that the file is either complete and durable or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial:
        partial.write_text(json.dumps(node, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")


def seal(path):
    """Make a written file durable (COPY never calls fsync) and return its SHA-256."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()
