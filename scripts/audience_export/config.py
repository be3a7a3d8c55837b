"""destinations.yml: what destinations accept (specs) and what is sent to them (deliveries), validated.

A destination is data. `load` returns Delivery objects that hold everything the SQL needs; nothing else
reads the file. Errors: Problem with exit code 2, naming the file, the key and what is allowed there.
"""

import difflib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import yaml

OK, UNEXPECTED, USAGE, CONTRACT, GUARD, QUARANTINED, BUSY = 0, 1, 2, 3, 4, 5, 75
CHANNELS = {"email": ["email"], "sms": ["phone"], "push": ["app_user_id"], "ads": ["email", "phone"]}
GUARDS = {
    "empty": 0,
    "shrank": 0.2,
    "grew": 0.5,
    "removed": 0.1,
    "quarantined": 0.02,
    "source_age_hours": 32,
    "suppression_shrank": 0,
}
MODES = ("full", "delta")


class Problem(Exception):
    """An expected failure: an exit code and one line for people, without personal data."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


# A schema is a type, a tuple of the allowed values, [schema of each item], {"*": schema of any value},
# or {key: schema}, where "!" marks a key that must be there.
LIMIT = (int, float, ("off",))
GUARD_SCHEMA = {key: LIMIT for key in GUARDS}
SCHEMA = {
    "settings": {"expires_after_days": int, "guards": GUARD_SCHEMA},
    "deliveries": {
        "*": {
            "destination": str,
            "channel!": tuple(CHANNELS),
            "audiences!": (("all",), [str]),
            "fields": [(str, {"*": str})],
            "mode": MODES,
            "identify_by": str,
            "cap": int,
            "guards": GUARD_SCHEMA,
            "constants": {"*": str},
            "attest": [str],
            "salt_env": str,
            "command": [str],
            "command_timeout_seconds": int,
        }
    },
    "destinations!": {
        "*": {
            "format!": ("csv", "parquet", "jsonl"),
            "separator": (",", ";", "\t", "|"),
            "own_fields": bool,
            "unique": bool,
            "identifiers_last": bool,
            "salted": bool,
            "id_header": str,
            "text_bytes": int,
            "dates": str,
            "timestamps": str,
            "headers": {"*": str},
            "fixed_headers": [str],
            "modes": [MODES],
            "attest": [str],
            "hash": [str],
            "payload": {"column!": str, "updated_at!": str},
            "normalise": {"*": ("digits", "gmail", "letters", "name", "upper")},
            "refuse": [("emoji", "leading_zero", "line_break", "local_part_not_ascii")],
            "limits": {"bytes": int, "rows": int, "columns": int, "minimum_people": int},
            "channels!": {
                "*": {
                    "identifiers!": {"*": str},
                    "constants": {"*": str},
                    "consented_at": str,
                    "suppress": {"*": str},
                    "needs": [str],
                }
            },
        }
    },
}


def check(node, schema, where):
    """Return None when node fits schema, else one sentence that says where it does not."""
    if isinstance(schema, type):
        fits = isinstance(node, schema) and not (isinstance(node, bool) and schema is not bool)
        return None if fits else f"{where} must be {schema.__name__}, not {type(node).__name__}"
    if isinstance(schema, tuple) and all(isinstance(option, str) for option in schema):
        return None if node in schema else f"{where} must be one of {', '.join(map(repr, schema))}, not {node!r}"
    if isinstance(schema, tuple):
        problems = [check(node, option, where) for option in schema]
        return None if None in problems else " or ".join(problems)
    if isinstance(schema, list):
        if not isinstance(node, list):
            return f"{where} must be a list, not {type(node).__name__}"
        return next(filter(None, (check(item, schema[0], f"{where}[{i}]") for i, item in enumerate(node))), None)
    if not isinstance(node, dict):
        return f"{where} must be a mapping of keys to values, not {type(node).__name__}"
    known = {key.rstrip("!"): value for key, value in schema.items()}
    for key in (key.rstrip("!") for key in schema if key.endswith("!")):
        if key not in node:
            return f"{where}: the key '{key}' is missing"
    for key, value in node.items():
        if "*" not in known and key not in known:
            close = difflib.get_close_matches(str(key), known, 1)
            hint = f"did you mean '{close[0]}'?" if close else f"known here: {', '.join(known)}"
            return f"{where}: unknown key '{key}'; {hint}"
        problem = check(value, known.get(key, known.get("*")), f"{where}.{key}".lstrip("."))
        if problem:
            return problem
    return None


@dataclass(frozen=True)
class Column:
    """One column of a delivered file: its header, the field or the constant in it, and what it is for."""

    header: str
    field: str | None
    constant: str | None = None
    identifier: bool = False


@dataclass(frozen=True)
class Delivery:
    """A destination's spec, the audiences and columns that go there, and how."""

    name: str
    destination: str
    spec: dict
    channel: str
    audiences: object
    columns: tuple
    mode: str
    cap: int | None
    guards: dict
    attest: tuple
    salt: str
    command: tuple
    command_timeout: int

    @property
    def channel_spec(self):
        return self.spec["channels"][self.channel]

    @property
    def headers(self):
        """The file's headers, in order: what is written, and what the linter wants to read."""
        if "payload" in self.spec:
            ids = [column.header for column in self.columns if column.identifier]
            return ids + [self.spec["payload"]["updated_at"], self.spec["payload"]["column"]]
        return [column.header for column in self.columns]

    @property
    def updated_at(self):
        return self.spec.get("payload", {}).get("updated_at")

    def time_format(self, kind):
        key, form = ("dates", "%Y-%m-%d") if kind == "DATE" else ("timestamps", "%Y-%m-%d %H:%M:%S")
        return self.spec.get(key, form)

    def refused(self, column):
        """What text in this column may not hold (names of rows.REFUSED)."""
        if column.field == "phone":
            return []
        csv_cell = self.spec["format"] == "csv" and ("payload" not in self.spec or column.identifier)
        return [
            *["formula"] * csv_cell,
            *(
                name
                for name in self.spec.get("refuse", [])
                if name != "local_part_not_ascii" or column.field == "email"
            ),
        ]

    def suppress_columns(self):
        """The columns of suppress.csv: the channel's addresses, then constants (`reason` is the list's own)."""
        ids = [Column(header, field, identifier=True) for field, header in self.channel_spec["identifiers"].items()]
        extra = [
            Column(header, None, constant=value) for header, value in self.channel_spec.get("suppress", {}).items()
        ]
        return self.in_order(ids + extra)

    def in_order(self, columns):
        """All of the fixed headers when the destination has such (empty where nothing is mapped), else columns."""
        found = {column.header: column for column in columns}
        return [found.get(header, Column(header, None)) for header in self.spec.get("fixed_headers", found)]


def _columns(name, delivery, spec):
    channel, known = spec["channels"][delivery["channel"]], spec.get("headers", {})
    identify_by, ids = delivery.get("identify_by"), channel["identifiers"]
    if identify_by:
        if "id_header" not in spec:
            raise Problem(USAGE, f"deliveries.{name}.identify_by: this destination takes no identifier of your own")
        ids = {identify_by: spec["id_header"]}
    columns = [Column(header, field, identifier=True) for field, header in ids.items()]
    constants = {**channel.get("constants", {}), **delivery.get("constants", {})}
    rest = [Column(header, None, constant=value) for header, value in constants.items()]
    if channel.get("consented_at"):
        rest.append(Column(channel["consented_at"], "consented_at"))
    for item in delivery.get("fields", []):
        header, field = next(iter(item.items())) if isinstance(item, dict) else (None, item)
        if header is None and field not in known and not spec.get("own_fields"):
            raise Problem(
                USAGE,
                f"deliveries.{name}.fields: {field} is nothing {delivery['destination']} takes; "
                f"it takes {', '.join([*ids, *known])}",
            )
        rest.append(Column(header or known.get(field, field), field))
    if "fixed_headers" in spec:
        found = {column.header: column for column in columns + rest}
        if found.keys() - set(spec["fixed_headers"]):
            raise Problem(USAGE, f"deliveries.{name}: the headers must be among {', '.join(spec['fixed_headers'])}")
        return tuple(found.get(header, Column(header, None)) for header in spec["fixed_headers"])
    columns = rest + columns if spec.get("identifiers_last") else columns + rest
    headers = [column.header.casefold() for column in columns]  # DuckDB's names know no case
    doubled = {header for header in headers if headers.count(header) > 1}
    if doubled:
        raise Problem(USAGE, f"deliveries.{name}: two columns are called {', '.join(sorted(doubled))}")
    if len(columns) > spec.get("limits", {}).get("columns", 10**6):
        raise Problem(USAGE, f"deliveries.{name}: {len(columns)} columns, but {spec['limits']['columns']} are accepted")
    return tuple(columns)


def _delivery(name, given, specs, settings, mode):
    delivery = {"destination": name, **given}
    spec = specs.get(delivery["destination"])
    if spec is None:
        raise Problem(
            USAGE, f"deliveries.{name}: there is no destination '{delivery['destination']}'; known: {', '.join(specs)}"
        )
    modes = spec.get("modes", list(MODES))
    mode = mode or delivery.get("mode", modes[0])
    if mode not in modes:
        raise Problem(USAGE, f"deliveries.{name}: {delivery['destination']} takes {' or '.join(modes)}, not {mode}")
    if delivery["channel"] not in spec["channels"]:
        raise Problem(USAGE, f"deliveries.{name}.channel: {delivery['destination']} has {', '.join(spec['channels'])}")
    missing = set(spec.get("attest", [])) - set(delivery.get("attest", []))
    if missing:
        raise Problem(
            USAGE,
            f"deliveries.{name}: state by `attest: {spec['attest']}` that the consent for "
            f"{delivery['channel']} covers {' and '.join(sorted(missing))}",
        )
    needed = set(spec["channels"][delivery["channel"]].get("needs", [])) - set(delivery.get("constants", {}))
    if needed:
        raise Problem(USAGE, f"deliveries.{name}.constants: {', '.join(sorted(needed))} is needed on this channel")
    salt_env = delivery.get("salt_env")
    if salt_env and not spec.get("salted"):
        raise Problem(USAGE, f"deliveries.{name}.salt_env: {delivery['destination']} matches unsalted hashes")
    if salt_env and not os.environ.get(salt_env):
        raise Problem(USAGE, f"deliveries.{name}: the environment variable {salt_env} (the salt) is not set")
    if delivery.get("cap", 1) < 1:
        raise Problem(USAGE, f"deliveries.{name}.cap must be at least 1")
    return Delivery(
        name,
        delivery["destination"],
        spec,
        delivery["channel"],
        delivery["audiences"],
        _columns(name, delivery, spec),
        mode,
        delivery.get("cap"),
        {**GUARDS, **settings.get("guards", {}), **delivery.get("guards", {})},
        tuple(delivery.get("attest", [])),
        os.environ.get(salt_env, "") if salt_env else "",
        tuple(delivery.get("command", [])),
        delivery.get("command_timeout_seconds", 3600),
    )


def load(path, wanted=(), mode=None):
    """Read the file at path. Return (chosen deliveries, all deliveries' audiences, settings).

    wanted: delivery names, none for all. mode: overrides each delivery's own.
    """
    try:
        node = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Problem(USAGE, f"{path}: there is no such file; give one by --config") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        raise Problem(USAGE, f"{path}{f', line {mark.line + 1}' if mark else ''}: cannot be read as YAML") from None
    problem = check(node, SCHEMA, "")
    if problem:
        raise Problem(USAGE, f"{path}: {problem.lstrip(': ')}")
    settings, given = (
        node.get("settings", {}),
        node.get("deliveries") or {"csv": {"channel": "email", "audiences": "all"}},
    )
    for name in [*given, *wanted]:
        if name not in given:
            raise Problem(USAGE, f"--destination {name}: not in {path}; its deliveries are {', '.join(given)}")
        if not name.replace("_", "").replace("-", "").isalnum():
            raise Problem(USAGE, f"{path}: deliveries.{name}: a name has letters, digits, _ and - only")
    try:
        chosen = [
            _delivery(name, given[name], node["destinations"], settings, mode)
            for name in given
            if not wanted or name in wanted
        ]
    except Problem as error:
        raise Problem(error.code, f"{path}: {error}") from None
    named = [item["audiences"] for item in given.values()]
    return chosen, None if "all" in named else {name for names in named for name in names}, settings


def digest(*parts):
    """A short name for a mapping: the same parts give the same 16 hex digits, on any machine."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:16]
