"""Files: write, split at a destination's limits, read back and judge (lint), make durable.

Errors: Problem 1 naming the file, the column, the rule and how many values break it; never a value.
"""

import csv
import hashlib
import os
import re

import duckdb

from . import rows
from .config import UNEXPECTED, Problem

ENDING = {"csv": "csv", "parquet": "parquet", "jsonl": "jsonl"}


def copy_options(spec):
    if spec["format"] == "csv":
        return (
            f"(format csv, header true, delimiter '{spec.get('separator', ',')}', quote '\"', escape '\"', nullstr '')"
        )
    return "(format parquet)" if spec["format"] == "parquet" else "(format json)"


def reader(path, spec, columns):
    """A table expression over a written file; columns: {header: DuckDB type}. Empty text is null."""
    name, types = rows.literal(path), ", ".join(f"{rows.literal(h)}: {rows.literal(t)}" for h, t in columns.items())
    if spec["format"] == "csv":
        return (
            f"read_csv({name}, auto_detect = false, header = true, delim = '{spec.get('separator', ',')}', quote = '\"', "
            f"escape = '\"', columns = {{{types}}}, strict_mode = true)"
        )
    if spec["format"] == "parquet":
        return f"read_parquet({name})"
    return f"read_json({name}, format = 'newline_delimited', columns = {{{types}}})"


def write(con, folder, stem, delivery, source, columns, kind, fields):
    """Write `select` columns [(header, expression)] `from` source as stem.csv, or as stem-01.csv … when over a limit.

    kind: 'audience', 'removed' or 'suppress', which the linter needs. Returns [{path, rows, bytes, columns}].
    """
    spec, limits = delivery.spec, delivery.spec.get("limits", {})
    names = ", ".join(f"{sql} as {rows.quoted(header)}" for header, sql in columns)
    types = {row[0]: row[1] for row in con.execute(f"describe select {names} from {source} limit 0").fetchall()}
    total = con.execute(f"select count(*) from {source}").fetchone()[0]
    # In order while that is cheap: people read and compare small files, nobody large ones.
    order = "order by all" if total <= 100_000 else ""
    parts = max(1, -(-total // limits.get("rows", 1 << 62)))
    while True:
        paths = []
        for part in range(parts):
            path = folder / (
                f"{stem}.{ENDING[spec['format']]}" if parts == 1 else f"{stem}-{part + 1:02}.{ENDING[spec['format']]}"
            )
            where = (
                ""
                if parts == 1
                else (f"qualify (row_number() over (order by {columns[0][1]}) - 1) * {parts} // {total} = {part}")
            )
            con.execute(
                f"copy (select {names} from {source} {where} {order}) to {rows.literal(path)} {copy_options(spec)}"
            )
            paths.append(path)
        size = max(path.stat().st_size for path in paths)
        if size <= limits.get("bytes", size):
            break
        if parts >= max(total, 1):
            raise Problem(UNEXPECTED, f"{delivery.name}/{stem}: one row alone is larger than {limits['bytes']} bytes")
        for path in paths:
            path.unlink()
        parts = min(total, max(parts + 1, -(-parts * size * 21 // (limits["bytes"] * 20))))
    return [
        {
            "path": path,
            "rows": lint(con, path, delivery, types, kind, fields),
            "bytes": path.stat().st_size,
            "columns": types,
        }
        for path in paths
    ]


def lint(con, path, delivery, types, kind, fields):
    """Read a written file back and hold it against its destination's spec. Returns its number of rows."""
    spec, limits, where = delivery.spec, delivery.spec.get("limits", {}), f"{delivery.name}/{path.name}"
    columns = delivery.suppress_columns() if kind == "suppress" else delivery.columns
    columns = [column for column in columns if kind != "removed" or column.identifier]
    expected = list(types)
    if spec["format"] == "csv":
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            found = next(csv.reader(file, delimiter=spec.get("separator", ",")), [])
        if found != expected or (kind == "audience" and found != delivery.headers):
            raise Problem(UNEXPECTED, f"{where}: the header line is not what the destination takes")
        if len(found) > limits.get("columns", len(found)):
            raise Problem(UNEXPECTED, f"{where}: {len(found)} columns, {limits['columns']} are taken")
    if path.stat().st_size > limits.get("bytes", path.stat().st_size):
        raise Problem(UNEXPECTED, f"{where}: {path.stat().st_size} bytes, {limits['bytes']} are taken")
    ids = [rows.quoted(column.header) for column in columns if column.identifier]
    rules = {f"each row needs {' or '.join(ids)}": f"coalesce({', '.join(ids)}) is null"}
    for column in columns:
        if types.get(column.header) == "VARCHAR":
            name = rows.quoted(column.header)
            rules |= {
                f"{column.header} {rule}": sql for rule, sql in column_rules(delivery, column, name, fields).items()
            }
    if "payload" in spec and kind != "suppress":
        stamp, payload = (rows.quoted(spec["payload"][key]) for key in ("updated_at", "column"))
        rules[f"{stamp} must be ISO 8601 in UTC"] = f"try_strptime({stamp}, '%Y-%m-%dT%H:%M:%SZ') is null"
        rules[f"{payload} must be a JSON object"] = f"coalesce(json_type(try_cast({payload} as json)), '') <> 'OBJECT'"
    counts = ", ".join(f"count(*) filter (where {sql})" for sql in rules.values())
    try:
        total, distinct, *broken = con.execute(
            f"select count(*), count(distinct hash(coalesce({', '.join(ids)}))), {counts} "
            f"from {reader(path, spec, types)}"
        ).fetchone()
    except duckdb.Error:
        raise Problem(
            UNEXPECTED, f"{where}: does not read back as {spec['format']} in UTF-8 with these columns"
        ) from None
    rules = {"no identifier may come twice": total - distinct, **dict(zip(rules, broken))}
    if total > limits.get("rows", total):
        raise Problem(UNEXPECTED, f"{where}: {total} rows, {limits['rows']} are taken")
    for rule, count in rules.items():
        if count:
            raise Problem(UNEXPECTED, f"{where}: {rule}; {count} of {total} rows break it")
    return total


def column_rules(delivery, column, name, fields):
    """{rule: condition that a value breaks it} for one text column of a written file."""
    spec, field = delivery.spec, column.field
    if column.constant is not None:
        return (
            {}
            if column.constant == "{reason}"
            else {f"must be '{column.constant}'": f"{name} is distinct from {rows.literal(column.constant)}"}
        )
    if field is None:
        return {"must be empty": f"{name} is not null"}
    if fields[field] != "VARCHAR":
        form = {"DATE": spec.get("dates", "%Y-%m-%d")}.get(fields[field], spec.get("timestamps", "%Y-%m-%d %H:%M:%S"))
        timed = re.fullmatch(f"{rows.DATE}|{rows.TIME}", fields[field])
        return (
            {f"must be a time like {form}": f"try_strptime({name}, '{form}') is null and {name} is not null"}
            if timed
            else {}
        )
    if field in spec.get("hash", []):
        empty = hashlib.sha256(delivery.salt.encode()).hexdigest()
        return {
            "must be a lower-case SHA-256, not of nothing": f"{name} is not null and (coalesce(try(octet_length(unhex({name}))), 0) <> 32 "
            f"or lower({name}) <> {name} or {name} = '{empty}')"
        }
    if field == "phone":
        pattern = rows.E164[2:] if spec.get("normalise", {}).get("phone") == "digits" else rows.E164
        return {"must be a phone number": f"not regexp_full_match({name}, '{pattern}')"}
    rules = {f"may hold no {rule}": rows.breaks(rule, name) for rule in delivery.refused(column)}
    if field == "email":
        rules["must be an e-mail address"] = f"not regexp_full_match({name}, {rows.literal(rows.EMAIL)})"
    if "text_bytes" in spec:
        rules[f"may hold {spec['text_bytes']} bytes"] = f"strlen({name}) > {spec['text_bytes']}"
    return rules


def seal(path):
    """Make a written file durable and return its SHA-256 (COPY never calls fsync)."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_folder(path):
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
