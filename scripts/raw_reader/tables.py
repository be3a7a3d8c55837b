"""The declared raw tables, and the SQL that reads a column of them from a file."""

import json
import re
from dataclasses import dataclass


def literal(text):
    return "'" + str(text).replace("'", "''") + "'"


def identifier(name):
    return '"' + name.replace('"', '""') + '"'


def listed(texts):
    return "[" + ", ".join(map(literal, texts)) + "]"


def as_list(value):
    return value if isinstance(value, list) else [] if value is None else [value]


def meta(declared):
    return (declared.get("config") or {}).get("meta") or {}


@dataclass
class Column:
    name: str
    type: str
    is_required: bool
    spellings: list[str]  # its name and its aliases
    paths: list[list[str]]  # where it may lie in a nested column: customer.id
    outer: str | None  # of a table that is nested in rows of another: the column of that row that it is
    is_position: bool  # or the place in the list
    person: list[str]  # whose id it is: a customer's, user's or contact's; or an e-mail address in place of one
    of_another: bool  # who is not the one whom the row is about
    id_of: str | None  # the role whose ids they are, if not the table's own system
    address: str | None  # email or phone
    pii: str | None

    @classmethod
    def of(cls, declared):
        own = meta(declared)
        paths = [path.split(".") for path in as_list(own.get("path"))]
        spellings = [declared["name"], *own.get("aliases", [])]
        id_of, person = None if own.get("id") is True else own.get("id"), as_list(own.get("person"))
        return cls(
            declared["name"], declared["data_type"], bool(own.get("required")), spellings, paths, own.get("outer"), bool(own.get("position")),
            person, bool(own.get("of_another")), id_of, own.get("address") or ("email" if "email" in person else None), own.get("pii"),
        )  # fmt: skip


class Table:
    """One table of a source YAML, as dbt's graph or the YAML itself gives it."""

    def __init__(self, declared, schema):
        own = meta(declared)
        self.source, self.name = declared["source_name"], declared["name"]
        self.identifier = declared.get("identifier") or self.name
        self.columns = [Column.of(column) for column in declared["columns"].values()]
        self.folder, _, self.base = (own.get("path") or "").rpartition("/")
        self.aliases = as_list(own.get("table_aliases"))
        self.is_required, self.is_never_empty = bool(own.get("required")), bool(own.get("not_empty"))
        self.state_folder = own.get("folder")
        self.dialect = own.get("dialect")  # of a system with several: its tables are there together, or not at all
        self.nested_in = own.get("nested_in", "").split(".")  # [table, column]: where its rows are if it has no file
        self.file_name_column = own.get("file_name_column")
        self.relation = f"{identifier(schema)}.{identifier(self.identifier)}"
        self.known = {spelling.lower() for column in self.columns for spelling in column.spellings}
        self.known |= {path[0].lower() for column in self.columns for path in column.paths}

    @property
    def needed(self):
        return ", ".join(column.name for column in self.columns if column.is_required)


# --- one column of a file -----------------------------------------------------------------------------


def trimmed(expression):
    return f"nullif(trim({expression}), '')"


def json_path(keys):
    return "$" + "".join("." + json.dumps(key, ensure_ascii=False) for key in keys)


def from_columns(column, present, type_of):
    """(SQL, type) of a declared column in a relation with the columns {lower case: (name, type)}; None if it is not there."""
    for spelling in column.spellings:
        if spelling.lower() in present:
            name, kind = present[spelling.lower()]
            return identifier(name), kind
    for first, *keys in column.paths:
        if first.lower() not in present:
            continue
        name, kind = present[first.lower()]
        sql = identifier(name)
        if kind in ("VARCHAR", "JSON"):
            return f"case when json_valid({sql}) then json_extract_string({sql}, {literal(json_path(keys))}) end", "VARCHAR"
        nested = f"({sql})" + "".join(f".{identifier(key)}" for key in keys)
        kind = type_of(nested)
        if kind:
            return nested, kind
    return None


def as_raw(sql, kind):
    """A value as the raw relation holds it: text trimmed and never empty, everything else in its own type."""
    if kind in ("JSON", "UUID") or kind.startswith("ENUM"):
        return trimmed(f"cast({sql} as varchar)")
    return trimmed(sql) if kind == "VARCHAR" else sql


def as_text(sql, kind):
    """The same as text, for a relation that also holds text files."""
    if kind == "VARCHAR" or kind in ("JSON", "UUID") or kind.startswith("ENUM"):
        return as_raw(sql, kind)
    nested = kind.startswith(("STRUCT", "MAP", "UNION")) or kind.endswith("]")
    return f"cast({f'to_json({sql})' if nested else sql} as varchar)"


def is_data(name):
    """Does a column's name look like a value of a row: an address, a number, a date?"""
    return "@" in name or re.match(r"[-+(]?\d", name) is not None
