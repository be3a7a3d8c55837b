"""destinations.yml: what destinations accept (specs) and what is sent to them (deliveries), validated.

A destination is data: `load` returns Delivery objects, and nothing else reads the file. Every error is a Problem
with exit code 2 that names the file, the key and what is allowed there.
"""

import difflib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import yaml

from common import Problem

OK, UNEXPECTED, USAGE, CONTRACT, GUARD, QUARANTINED, BUSY = 0, 1, 2, 3, 4, 5, 75
CHANNELS = {"email": ["email"], "sms": ["phone"], "push": ["app_user_id"], "ads": ["email", "phone"]}
MODES = ("full", "delta")
GUARDS = {"empty": 0, "shrank": 0.2, "grew": 0.5, "removed": 0.1, "quarantined": 0.02,
          "source_age_hours": 32, "suppression_shrank": 0}
# A schema is a type, a tuple of allowed values or of schemas, [schema of each item], {"*": schema of any value},
# or {key: schema}, where "!" marks a key that must be there.
TEXTS, LIMITS = {"*": str}, {guard: (int, float, ("off",)) for guard in GUARDS}
SCHEMA = {
    "settings": {"expires_after_days": int, "guards": LIMITS},
    "deliveries": {"*": {
        "destination": str, "channel!": tuple(CHANNELS), "audiences!": (("all",), [str]), "fields": [(str, TEXTS)],
        "mode": MODES, "identify_by": str, "cap": int, "guards": LIMITS, "constants": TEXTS, "attest": [str],
        "salt_env": str, "command": [str], "command_timeout_seconds": int}},
    "destinations!": {"*": {
        "format!": ("csv", "parquet", "jsonl"), "separator": (",", ";", "\t", "|"), "own_fields": bool,
        "unique": bool, "identifiers_last": bool, "salted": bool, "id_header": str, "text_bytes": int,
        "dates": str, "timestamps": str, "headers": TEXTS, "fixed_headers": [str], "modes": [MODES],
        "attest": [str], "hash": [str], "payload": {"column!": str, "updated_at!": str},
        "normalise": {"*": ("digits", "gmail", "letters", "name", "upper")},
        "refuse": [("emoji", "leading_zero", "line_break", "local_part_not_ascii")],
        "limits": {"bytes": int, "rows": int, "columns": int, "minimum_people": int},
        "channels!": {"*": {"identifiers!": TEXTS, "constants": TEXTS, "consented_at": str, "suppress": TEXTS,
                            "needs": [str]}}}},
}


def check(node, schema, where):  # noqa: PLR0911
    """None when node fits the schema, else one sentence that says where it does not."""
    if isinstance(schema, tuple):
        if all(isinstance(option, str) for option in schema):
            return None if node in schema else f"{where} must be one of {', '.join(schema)}, not {node!r}"
        problems = [check(node, option, where) for option in schema]
        return None if None in problems else " or ".join(problems)
    kind = schema if isinstance(schema, type) else type(schema)
    if not isinstance(node, kind) or (isinstance(node, bool) and kind is not bool):
        names = {dict: "a mapping", list: "a list", str: "text", int: "a whole number", float: "a number",
                 bool: "true or false"}
        return f"{where or 'the file'} must be {names[kind]}"
    if kind is list:
        return next(filter(None, (check(item, schema[0], f"{where}[{i}]") for i, item in enumerate(node))), None)
    if kind is not dict:
        return None
    known = {key.rstrip("!"): value for key, value in schema.items()}
    missing = [key[:-1] for key in schema if key.endswith("!") and key[:-1] not in node]
    if missing:
        return f"{where or 'the file'}: the key '{missing[0]}' is missing"
    for key, value in node.items():
        if key not in known and "*" not in known:
            close = difflib.get_close_matches(str(key), known, 1)
            hint = f"did you mean '{close[0]}'?" if close else f"known here: {', '.join(known)}"
            return f"{where or 'the file'}: unknown key '{key}'; {hint}"
        problem = check(value, known.get(key, known.get("*")), f"{where}.{key}".lstrip("."))
        if problem:
            return problem
    return None


@dataclass(frozen=True)
class Column:
    """One column of a delivered file: its header, the field or the constant in it, and whether it identifies."""

    header: str
    field: str | None
    constant: str | None = None
    identifier: bool = False


@dataclass(frozen=True)
class Delivery:
    """What goes where: the given keys of a delivery, its destination's spec, and the columns that follow from both."""

    name: str
    given: dict
    spec: dict
    columns: list
    mode: str
    guards: dict
    salt: str

    destination = property(lambda self: self.given["destination"])
    channel = property(lambda self: self.given["channel"])
    payload = property(lambda self: self.spec.get("payload", {}))

    def hashes(self, column):
        return column.field in self.spec.get("hash", [])

    def time_format(self, kind):
        key, form = ("dates", "%Y-%m-%d") if kind == "DATE" else ("timestamps", "%Y-%m-%d %H:%M:%S")
        return self.spec.get(key, form)

    def refused(self, column):
        """What text in this column may not hold: names of rows.REFUSED."""
        cell = self.spec["format"] == "csv" and (not self.payload or column.identifier)
        return ["formula"] * cell + [rule for rule in self.spec.get("refuse", [])
                                     if rule != "local_part_not_ascii" or column.field == "email"]

    def suppress_columns(self):
        """The columns of suppress.csv: the channel's addresses, then constants (`{reason}` is the list's own)."""
        channel = self.spec["channels"][self.channel]
        columns = [Column(header, field, identifier=True) for field, header in channel["identifiers"].items()]
        needed = {header: self.given["constants"][header] for header in channel.get("needs", [])}
        rest = {**channel.get("suppress", {}), **needed}.items()
        more = [Column(header, None, constant=value) for header, value in rest]
        return in_order(more + columns if self.spec.get("identifiers_last") else columns + more, self.spec)

    def fingerprint(self, safe):
        """16 hex digits that change when what a row means at the destination changes: mapping, hashing or salt; also
        when rows are compared in another way than `rows.snapshot_columns` does now ("uuid").
        """
        spec = {key: self.spec.get(key) for key in ("format", "normalise", "hash", "dates", "timestamps", "payload")}
        return hashlib.sha256(repr(("uuid", self.destination, self.channel, self.columns, spec, self.salt, safe)
                              ).encode()).hexdigest()[:16]


def in_order(columns, spec):
    """All of a destination's fixed headers (empty where nothing is mapped) when it has such, else the columns."""
    found = {column.header: column for column in columns}
    return [found.get(header, Column(header, None)) for header in spec.get("fixed_headers", found)]


def _columns(given, spec):
    channel, known = spec["channels"][given["channel"]], spec.get("headers", {})
    ids = channel["identifiers"]
    if "identify_by" in given:
        if "id_header" not in spec:
            raise Problem(USAGE, "identify_by: this destination takes no identifier of your own")
        ids = {given["identify_by"]: spec["id_header"]}
    columns = [Column(header, field, identifier=True) for field, header in ids.items()]
    constants = {**channel.get("constants", {}), **given.get("constants", {})}
    rest = [Column(header, None, constant=value) for header, value in constants.items()]
    rest += [Column(channel["consented_at"], "consented_at")] if "consented_at" in channel else []
    for item in given.get("fields", []):
        header, field = next(iter(item.items())) if isinstance(item, dict) else (known.get(item), item)
        if not spec.get("own_fields") and (field not in known or header != known[field]):
            raise Problem(USAGE, f"fields: this destination takes no '{field}', only {', '.join([*ids, *known])}")
        rest.append(Column(header or field, field))
    columns = rest + columns if spec.get("identifiers_last") else columns + rest
    headers = [column.header.casefold() for column in columns]  # DuckDB's names know no case
    doubled = sorted({header for header in headers if headers.count(header) > 1})
    limit, fixed = spec.get("limits", {}).get("columns", len(columns)), spec.get("fixed_headers")
    if doubled:
        raise Problem(USAGE, f"fields: two columns are called '{doubled[0]}'")
    if fixed and {column.header for column in columns} - set(fixed):
        raise Problem(USAGE, f"fields: the headers must be among {', '.join(fixed)}")
    if len(columns) > limit:
        raise Problem(USAGE, f"fields: {len(columns)} columns, but the destination takes {limit}")
    return in_order(columns, spec)


def _delivery(name, given, specs, settings, mode):
    given = {"destination": name, **given}
    spec = specs.get(given["destination"])
    if spec is None:
        raise Problem(USAGE, f"there is no destination '{given['destination']}', only {', '.join(specs)}")
    channels, modes, salt_env = spec["channels"], spec.get("modes", MODES), given.get("salt_env")
    mode = mode or given.get("mode", modes[0])
    if given["channel"] not in channels:
        raise Problem(USAGE, f"channel: {given['destination']} has {', '.join(channels)}")
    unstated = set(spec.get("attest", [])) - set(given.get("attest", []))
    unset = set(channels[given["channel"]].get("needs", [])) - set(given.get("constants", {}))
    for wrong, message in [
            (mode not in modes, f"mode: {given['destination']} takes {' or '.join(modes)}, not {mode}"),
            (unstated, f"attest: state that the consent for {given['channel']} covers {', '.join(sorted(unstated))}"),
            (unset, f"constants: this channel needs {', '.join(sorted(unset))}"),
            (salt_env and not spec.get("salted"), f"salt_env: {given['destination']} matches unsalted hashes"),
            (salt_env and not os.environ.get(salt_env), f"salt_env: the environment has no {salt_env}"),
            (given.get("cap", 1) < 1, "cap must be at least 1")]:
        if wrong:
            raise Problem(USAGE, message)
    guards = {**GUARDS, **settings.get("guards", {}), **given.get("guards", {})}
    return Delivery(name, given, spec, _columns(given, spec), mode, guards, os.environ.get(salt_env or "", ""))


def load(path, wanted=(), mode=None):
    """Read the file at path. Returns (deliveries, audiences that any delivery names or None for all, settings).

    wanted: names of deliveries, none for all. mode: instead of each delivery's own.
    """
    try:
        node = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Problem(USAGE, f"{path}: there is no such file; give one by --config") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        raise Problem(USAGE, f"{path}{f', line {mark.line + 1}' if mark else ''}: this is no readable YAML") from None
    problem = check(node, SCHEMA, "")
    if problem:
        raise Problem(USAGE, f"{path}: {problem}")
    settings = node.get("settings", {})
    given = node.get("deliveries") or {"csv": {"channel": "email", "audiences": "all"}}
    unknown = [name for name in wanted if name not in given]
    if unknown:
        raise Problem(USAGE, f"--destination {unknown[0]}: the deliveries of {path} are {', '.join(given)}")
    deliveries = []
    for name in wanted or given:
        try:
            if not name.replace("_", "").replace("-", "").isalnum():
                raise Problem(USAGE, "a delivery's name has letters, digits, _ and - only")
            deliveries.append(_delivery(name, given[name], node["destinations"], settings, mode))
        except Problem as error:
            raise Problem(USAGE, f"{path}: deliveries.{name}: {error}") from None
    named = [item["audiences"] for item in given.values()]
    return deliveries, None if "all" in named else {name for names in named for name in names}, settings
