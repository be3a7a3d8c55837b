"""destinations.yml: what destinations accept (specs) and what is sent to them (deliveries), validated.

A destination is data: `load` returns Delivery objects, and nothing else reads the file. The specs of the file that
ships with the program hold for every other file, too. Every error is a Problem with exit code 2 that names the file,
the key and what is allowed there.
"""

import difflib
import hashlib
import json
import os
from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path

import duckdb
import yaml

from common import Problem

OK, UNEXPECTED, USAGE, CONTRACT, GUARD, QUARANTINED, BUSY = 0, 1, 2, 3, 4, 5, 75
CHANNELS = {"email": ["email"], "sms": ["phone"], "push": ["app_user_id"], "ads": ["email", "phone"]}
ADDRESSES = ("email", "phone", "app_user_id")
MODES = ("full", "delta")
# What an import does at a destination: applies the files of changes, only adds people and never takes one out of a list,
# or puts the file in the place of what was there.
IMPORTS = ("changes", "adds", "replaces")
SHIPPED = Path(__file__).parents[2] / "destinations.yml"
GUARDS = {"empty": 0, "shrank": 0.2, "grew": 0.5, "removed": 0.05, "quarantined": 0.02,
          "source_age_hours": 32, "consent_age_days": 7, "load_age_hours": 56, "suppression_shrank": 0}
# What text is made of before it is written or hashed: `rows.normalised` says how. A list is applied from left to right.
KINDS = ("digits", "gmail", "name", "bare_name", "letters", "zip", "state", "country", "gender", "lower", "upper")
# Columns that a spec may speak of although not all marts have them.
OPTIONAL = {"postal_code", "zip", "birth_date", "gender", "mobile_advertiser_id"}
# A schema is a type, a tuple of allowed values or of schemas, [schema of each item], {"*": schema of any value},
# or {key: schema}, where "!" marks a key that must be there.
TEXTS, LIMITS = {"*": str}, {guard: (int, float, ("off",)) for guard in GUARDS}
SIZES = {"bytes": int, "rows": int, "columns": int, "minimum_people": int}
SCHEMA = {
    "settings": {"expires_after_days": int, "guards": LIMITS},
    "deliveries": {"*": {
        "destination": str, "account": str, "renamed_from": str, "channel!": tuple(CHANNELS), "audiences!": (("all",), [str]), "fields": [(str, TEXTS)],
        "mode": MODES, "identify_by": str, "one_per_person": bool, "cap": int, "guards": LIMITS, "constants": TEXTS, "forms": TEXTS,
        "attest": [str], "salt_env": str, "command": [str], "command_timeout_seconds": int}},
    "destinations": {"*": {
        "source": str, "checked": str, "format!": ("csv", "parquet", "jsonl"), "separator": (",", ";", "\t", "|"),
        "imports": IMPORTS, "own_fields": bool, "unique": bool, "one_identifier": bool, "merges_by": ("phone",),
        "identifiers_last": bool, "salted": bool, "id_header": str, "text_bytes": int, "dates": str,
        "timestamps": str, "forms": TEXTS, "headers": TEXTS, "fixed_headers": [str], "together": [str],
        "modes": [MODES], "attest": [str], "hash": [str], "payload": {"column!": str, "updated_at": str},
        "normalise": {"*": (KINDS, [KINDS])}, "refuse": [("emoji", "leading_zero", "line_break",
                                                          "local_part_not_ascii")], "limits": SIZES,
        "channels!": {"*": {"identifiers!": TEXTS, "constants": TEXTS, "consented_at": str, "columns": TEXTS,
                            "suppress": TEXTS, "unsuppress": TEXTS, "needs": [str],
                            # instead of the destination's
                            "headers": TEXTS, "limits": SIZES, "identifiers_last": bool}}}},
}


def alike(name, known):
    """The end of a sentence: whether another name was meant; empty when none is near."""
    close = difflib.get_close_matches(str(name), known, 1)
    return f"; did you mean '{close[0]}'?" if close else ""


def check(node, schema, where):  # noqa: PLR0911
    """None when node fits the schema, else one sentence that says where it does not."""
    if isinstance(schema, tuple):
        if all(isinstance(option, str) for option in schema):
            return None if node in schema else (f"{where} must be one of {', '.join(schema)}, not {node!r}"
                                                f"{alike(node, schema)}")
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
            hint = alike(key, known) or f"; known here: {', '.join(known)}"
            return f"{where or 'the file'}: unknown key '{key}'{hint}"
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
    account = property(lambda self: self.given.get("account", self.name))
    imports = property(lambda self: self.spec.get("imports", "changes"))
    is_sender = property(lambda self: self.channel != "ads")

    def hashes(self, column):
        return column.field in self.spec.get("hash", [])

    def kinds(self, field):
        """The names of rows.normalised that a field's text goes through."""
        kinds = self.spec.get("normalise", {}).get(field, [])
        return [kinds] if isinstance(kinds, str) else kinds

    def time_form(self, kind, field):
        """How a date or time of the field is written."""
        key, form = ("dates", "%Y-%m-%d") if kind == "DATE" else ("timestamps", "%Y-%m-%d %H:%M:%S")
        forms = {**self.spec.get("forms", {}), **self.given.get("forms", {})}
        return forms.get(field) or self.spec.get(key, form)

    def refused(self, column):
        """What text in this column may not hold: names of rows.REFUSED."""
        cell = self.spec["format"] == "csv" and (not self.payload or column.identifier)
        return ["formula"] * cell + [rule for rule in self.spec.get("refuse", [])
                                     if (rule != "local_part_not_ascii" or column.field == "email")
                                     and (rule != "leading_zero" or not column.identifier)]

    def required(self, column):
        """Whether the destination takes no row without this column."""
        return column.header in self.spec["channels"][self.channel].get("columns", {})

    def merging(self):
        """Where a destination makes one contact of all that share a phone: which of phone and email is written beside
        the other, and must not be when others share it; else None.
        """
        ids = {column.field: column.identifier for column in self.columns if column.field in ("phone", "email")}
        if "merges_by" not in self.spec or len(ids) < 2:
            return None
        return "email" if ids["phone"] and not ids["email"] else "phone"

    def suppress_columns(self):
        """The columns of suppress.csv: the channel's addresses, then what the importer needs beside them, then
        constants (`{reason}` and `{suppressed_at}` are the list's own).
        """
        channel = self.spec["channels"][self.channel]
        ids = channel["identifiers"]
        if self.spec.get("one_identifier"):
            ids = {column.field: column.header for column in self.columns if column.identifier}
        columns = [Column(header, field, identifier=True) for field, header in ids.items()]
        columns += [column for column in self.columns if self.required(column)]
        needed = {header: self.given["constants"][header] for header in channel.get("needs", [])}
        more = _constants({**channel.get("suppress", {}), **needed}, channel)
        return in_order(more + columns if self.spec.get("identifiers_last") else columns + more, self.spec)

    def unsuppress_columns(self):
        """The columns of unsuppress.csv; None where the vendor lifts nothing by a file."""
        more = self.spec["channels"][self.channel].get("unsuppress")
        if more is None:
            return None
        ids = [column for column in self.suppress_columns() if column.identifier]
        needed = {header: self.given["constants"][header] for header in self.spec["channels"][self.channel].get("needs", [])}
        return ids + _constants({**more, **needed}, self.spec["channels"][self.channel])

    def member_header(self, audience):
        """The column that says whether somebody is in the audience, where no import takes anybody out; else None."""
        words = audience.replace("_", " ").replace("-", " ").split()
        return " ".join(["In", *(word[:1].upper() + word[1:] for word in words)]) if self.imports == "adds" else None

    def shape(self, columns=None):
        """How its identifiers are written: {"id", "headers", "hex", "tells", "own"}. What was written in another shape has other keys."""
        ids = [column for column in columns or self.columns if column.identifier]
        said = [(column.header, self.kinds(column.field), self.hashes(column), self.salt if self.hashes(column) else "") for column in ids]
        return {"id": hashlib.sha256(repr(said).encode()).hexdigest()[:8], "headers": [column.header for column in ids],
                "hex": [self.hashes(column) for column in ids], "tells": [self._tells(column) for column in ids],
                "own": [column.field not in ADDRESSES for column in ids]}

    def _tells(self, column):
        """How an identifier tells the SHA-256 of its address: it is its `hash`, its `text`, its `digits`, or None: not at all."""
        if column.field not in ADDRESSES or (self.hashes(column) and self.salt):
            return None
        if column.field == "phone" and self.kinds("phone") == ["digits"]:
            return None if self.hashes(column) else "digits"
        return None if self.kinds(column.field) else "hash" if self.hashes(column) else "text"


def in_order(columns, spec):
    """All of a destination's fixed headers (empty where nothing is mapped) when it has such, else the columns."""
    found = {column.header: column for column in columns}
    return [found.get(header, Column(header, None)) for header in spec.get("fixed_headers", found)]


def _constants(values, channel):
    """Columns with one value. What a channel needs from the delivery and has a place for, `{name}`, goes there."""
    needed = {need: values[need] for need in channel.get("needs", []) if need in values}
    placed = {need for need in needed for value in values.values() if f"{{{need}}}" in value}
    for need in placed:  # within JSON
        text = json.dumps(needed[need])[1:-1]
        values = {header: value.replace(f"{{{need}}}", text) for header, value in values.items()}
    return [Column(header, None, constant=value or None) for header, value in values.items() if header not in placed]


def _stated(spec):
    """The headers, in lower case, by which a file states who may be contacted: they follow from the data alone."""
    found = set()
    for channel in spec["channels"].values():
        found |= {*channel.get("constants", {}), *channel.get("suppress", {}), channel.get("consented_at")}
        found -= {header for header, value in channel.get("suppress", {}).items() if value == "{reason}"}
    return {header.casefold() for header in found if header}


def _identifiers(given, spec, channel):
    """{field: header} of what a row is known by."""
    own, ids = given.get("identify_by"), channel["identifiers"]
    if spec.get("one_identifier"):
        own = own or next(iter(ids))
        if own not in ids:
            raise Problem(USAGE, f"identify_by: this destination takes one of {', '.join(ids)}, not '{own}'")
        return {own: ids[own]}
    if own and "id_header" not in spec:
        raise Problem(USAGE, "identify_by: this destination takes no identifier of your own")
    return {own: spec["id_header"]} if own else ids


def _own_columns(given, spec, ids):
    """The columns of a delivery's `fields`."""
    known, columns = spec.get("headers", {}), []
    for item in given.get("fields", []):
        if isinstance(item, dict) and len(item) != 1:
            raise Problem(USAGE, "fields: an entry is one column, or one `header: column`; found "
                                 f"{len(item)} of them in one ({', '.join(map(str, item))}): give each its own entry")
        header, field = next(iter(item.items())) if isinstance(item, dict) else (known.get(item, item), item)
        if not spec.get("own_fields") and (field not in known or header != known[field]):
            raise Problem(USAGE, f"fields: this destination takes no '{field}', only {', '.join([*ids, *known])}"
                                 f"{alike(field, known)}")
        columns.append(Column(header, field))
    return columns


def _check_headers(given, spec, own):
    """Problem when a delivery would fill a column that is not its to fill: own columns and constants."""
    channel, known, hashed = spec["channels"][given["channel"]], spec.get("headers", {}), spec.get("hash", [])
    stated, constants = _stated(spec), given.get("constants", {})
    secret = {header.casefold() for field, header in [*known.items(), *channel["identifiers"].items()] if field in hashed}
    taken = {header.casefold() for header in [*known.values(), *channel.get("needs", []), *channel.get("columns", {})]}
    for key, header, is_hash in [*(("constants", header, False) for header in constants),
                                 *(("fields", column.header, column.field in hashed) for column in own)]:
        if header.casefold() in stated:
            raise Problem(USAGE, f"{key}: '{header}' says who may be contacted, which the data decide")
        if header.casefold() in secret and not is_hash:
            raise Problem(USAGE, f"{key}: '{header}' is a column of hashes, and this would be in clear")
        if not spec.get("own_fields") and "fixed_headers" not in spec and header.casefold() not in taken:
            raise Problem(USAGE, f"{key}: this destination takes no '{header}', only {', '.join(known.values())}"
                                 f"{alike(header, known.values())}")


def _columns(given, spec):
    channel, constants = spec["channels"][given["channel"]], given.get("constants", {})
    ids = _identifiers(given, spec, channel)
    own = _own_columns(given, spec, ids)
    _check_headers(given, spec, own)
    columns = [Column(header, field, identifier=True) for field, header in ids.items()]
    replaced = {header.casefold() for header in [*constants, *(column.header for column in own)]}
    columns += [Column(header, field) for header, field in channel.get("columns", {}).items()
                if header.casefold() not in replaced]
    rest = _constants({**channel.get("constants", {}), **constants}, channel)
    rest += [Column(channel["consented_at"], "consented_at")] if "consented_at" in channel else []
    columns = rest + own + columns if spec.get("identifiers_last") else columns + rest + own
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


def _check_forms(forms):
    """Problem unless every form, {key: form}, writes times that can be read back."""
    for key, form in forms.items():
        try:
            with duckdb.connect() as con:
                rows = con.execute(f"select {read_back('strftime(t, $1)', '$1', form)} from "
                                   "(select timestamp '2000-02-29 13:14:15' as t)", [form]).fetchall()
        except duckdb.Error:
            rows = [(None,)]
        if rows == [(None,)] or "%" not in form:
            raise Problem(USAGE, f"{key}: '{form}' is no form in which times can be written and read back; "
                                 "such are %Y-%m-%d, %m/%d, %Y-%m-%dT%H:%M:%SZ")


def read_back(sql, place, form):
    """The SQL that reads a time of a form, which `place` says in SQL; null when it is none. Without a year 2000 is
    meant, so that there is a 29 February.
    """
    year = not {"%Y", "%y", "%c", "%x"} & {form[i:i + 2] for i in range(len(form))}
    return f"try_strptime('2000 ' || {sql}, '%Y ' || {place})" if year else f"try_strptime({sql}, {place})"


def _delivery(name, given, specs, settings, mode):
    given = {"destination": name, **given}
    spec = specs.get(given["destination"])
    if spec is None:
        raise Problem(USAGE, f"there is no destination '{given['destination']}', only {', '.join(specs)}"
                             f"{alike(given['destination'], specs)}")
    channels, modes, salt_env = spec["channels"], spec.get("modes", MODES), given.get("salt_env")
    if spec.get("imports") == "adds" and "modes" not in spec:
        modes = ("delta", "full")
    mode = mode or given.get("mode", modes[0])
    if given["channel"] not in channels:
        raise Problem(USAGE, f"channel: {given['destination']} has {', '.join(channels)}")
    channel = channels[given["channel"]]
    spec = {**spec, **{key: channel[key] for key in ("headers", "limits", "identifiers_last") if key in channel}}
    unstated = set(spec.get("attest", [])) - set(given.get("attest", []))
    unset = set(channel.get("needs", [])) - set(given.get("constants", {}))
    for wrong, message in [
            (mode not in modes, f"mode: {given['destination']} takes {' or '.join(modes)}, not {mode}"),
            (unstated, f"attest: state that the consent for {given['channel']} covers {', '.join(sorted(unstated))}"),
            (unset, f"constants: this channel needs {', '.join(sorted(unset))}"),
            (salt_env and not spec.get("salted"), f"salt_env: {given['destination']} matches unsalted hashes"),
            (salt_env and not os.environ.get(salt_env), f"salt_env: the environment has no {salt_env}"),
            (given.get("cap", 1) < 1, "cap must be at least 1")]:
        if wrong:
            raise Problem(USAGE, message)
    _check_forms({f"destinations.{given['destination']}.{key}": spec[key] for key in ("dates", "timestamps")
                  if key in spec})
    for forms in (spec.get("forms", {}), given.get("forms", {})):
        _check_forms({f"forms.{field}": form for field, form in forms.items()})
    guards = {**GUARDS, **settings.get("guards", {}), **given.get("guards", {})}
    return Delivery(name, given, spec, _columns(given, spec), mode, guards, os.environ.get(salt_env or "", ""))


def check_names(delivery, known):
    """Problem 2 when the delivery or its destination speaks of a column that there is not. known: columns."""
    known = {*known, *OPTIONAL}
    destination = f"destinations.{delivery.destination}"
    for where, names in [(f"deliveries.{delivery.name}.forms", delivery.given.get("forms", {})),
                         *((f"{destination}.{key}", delivery.spec.get(key, []))
                           for key in ("hash", "normalise", "forms", "headers", "together"))]:
        for name in names:
            if name not in known:
                hint = alike(name, known) or "; columns are those of customers and customer_campaign_facts"
                raise Problem(USAGE, f"{where}: there is no column '{name}'{hint}")


def _read(path):
    """The file at path, as SCHEMA has it."""
    try:
        node = yaml.load(Path(path).read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except FileNotFoundError:
        raise Problem(USAGE, f"{path}: there is no such file; give one by --config") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        raise Problem(USAGE, f"{path}{f', line {mark.line + 1}' if mark else ''}: this is no readable YAML") from None
    problem = check(node, SCHEMA, "")
    if problem:
        raise Problem(USAGE, f"{path}: {problem}")
    return node


Config = namedtuple("Config", "deliveries audiences settings names former")


def load(path, wanted=(), mode=None):
    """Read the file at path. Returns (deliveries, audiences that any delivery names or None for all, settings, names of all
    deliveries, a function that makes the Delivery of one that the file no longer has from its name and given keys).

    wanted: names of deliveries, none for all. mode: instead of each delivery's own.
    """
    node = _read(path)
    specs = {**_read(SHIPPED).get("destinations", {}), **node.get("destinations", {})}
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
            deliveries.append(_delivery(name, given[name], specs, settings, mode))
        except Problem as error:
            raise Problem(USAGE, f"{path}: deliveries.{name}: {error}") from None
    named = [item["audiences"] for item in given.values()]
    accounts = [(item.account, item.channel, audience) for item in deliveries for audience in item.given["audiences"]
                if item.given["audiences"] != "all"]
    if len(set(accounts)) < len(accounts):
        account, channel, audience = next(item for item in accounts if accounts.count(item) > 1)
        raise Problem(USAGE, f"{path}: deliveries: two of them write '{audience}' by {channel} into the account '{account}'")
    for item in deliveries:
        if item.given.get("renamed_from") in given:
            raise Problem(USAGE, f"{path}: deliveries.{item.name}.renamed_from: '{item.given['renamed_from']}' is still a delivery")
    return Config(deliveries, None if "all" in named else {name for names in named for name in names}, settings, set(given),
                  lambda name, old: _delivery(name, old, specs, settings, "delta"))
