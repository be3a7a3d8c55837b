"""Which files below the raw folder hold which declared table.

A table's `path` in the source YAML is `<folder>/<table>`, or `<table>` directly in the raw folder. It may be one file, several
whose names go on with a date or a number (orders_2026-10.csv), or a folder of parts; other names are `table_aliases`, also
with `*`. Any other folder beside the tables is an instance: a further shop of the same system, with tables of its own.
"""

import difflib
import fnmatch
import re
from dataclasses import dataclass, field
from pathlib import Path

FORMATS = {
    ".parquet": "Parquet",
    ".csv": "CSV",
    ".csv.gz": "CSV",
    ".jsonl": "JSON lines",
    ".jsonl.gz": "JSON lines",
    ".ndjson": "JSON lines",
    ".ndjson.gz": "JSON lines",
    ".json": "JSON lines",
    ".json.gz": "JSON lines",
}
READABLE = ".parquet, .csv, .csv.gz, .jsonl or .jsonl.gz"
# endings of data that nobody reads here; other files beside a table (checksums, notes) are none of ours
UNREAD = (".zip", ".xlsx", ".xls", ".ods", ".tsv", ".txt", ".avro", ".orc", ".feather", ".arrow", ".zst", ".bz2", ".xz", ".lz4", ".snappy", ".gz")
SHOWN = 8  # names of files in a message
WORDS = {"part", "page", "chunk", "file", "of", "to"}  # beside dates and numbers, in the names of parts


@dataclass
class Place:
    """Where one table of one instance lies: files of one format, in the order of their names."""

    instance: str | None
    format: str
    files: list[Path]
    unread: list[Path]  # in a folder of parts, but in no format that can be read


@dataclass
class Candidates:
    """What a folder has of one table: whole files and folders, and files that are parts of it."""

    wholes: list[Path] = field(default_factory=list)
    parts: list[Path] = field(default_factory=list)
    unread: list[Path] = field(default_factory=list)  # named like them, but in no format that can be read


def locate(folder, tables, wanted, copied):
    """({identifier: [Place]}, [(identifier, what is wrong)], the same of what is only to be warned of) of the declared tables.

    `wanted` are the sources in use, `copied` those of them, {source: [instance]}, that come from a database.
    """
    places, faults, warnings = {table.identifier: [] for table in tables}, [], []
    homes = {}
    for table in tables:
        homes.setdefault(table.folder, []).append(table)
    for name, all_of_home in homes.items():
        home = within(folder, name) if name else folder
        for source in sorted({table.source for table in all_of_home} & set(wanted)):
            own = [table for table in all_of_home if table.source == source]
            named = {}
            if name and home.is_dir():
                others = [path for path in entries(home) if path.is_dir() and not any(holds(t, path)[0] for t in all_of_home)]
                named = {path: found for path in others if (found := look(path, own))}
            unnamed, from_database = look(home, own), copied.get(source, [])
            others = [f"the instance {path.name}/" for path in named] + ["the source's database"] * len(from_database)
            if others and (unnamed or (None in from_database and named)):
                one = next(iter((unnamed or next(iter(named.values()))).values()))
                text = f"{(one.wholes + one.parts + one.unread)[0]} lies beside {others[-1]}: give every shop a folder of its own, with its name"
                faults.append((own[0].identifier, text))
                continue
            if from_database and not named:
                continue
            for where, found in named.items() or [(home, unnamed)]:
                instance = where.name if named else None
                if named and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", instance):
                    text = f"{where}/: an instance becomes part of ids; letters, digits, - and _ are what its name may have"
                    faults.append((own[0].identifier, text))
                dialects, wrong = dialects_of(found, own, where)
                faults += [(own[0].identifier, wrong)] if wrong else []
                for table in own:
                    if table.identifier in found:
                        place, wrong = choose(found[table.identifier], instance)
                        places[table.identifier] += [place] if place else []
                        faults += [(table.identifier, wrong)] if wrong else []
                        unread = found[table.identifier].unread + (place.unread if place else [])
                        warnings += [(table.identifier, f"{path} is not read: it is no {READABLE}") for path in unread]
                    elif table.is_required and (not table.dialect or table.dialect in dialects):
                        text = f"source '{source}' needs {where / table.base} as {READABLE}, or as a folder of parts"
                        text += f" or parts like {table.base}_2026-10.csv; it is not there{lying_in(where, table.base)}"
                        faults.append((table.identifier, text))
    return places, faults, warnings


def dialects_of(found, tables, where):
    """({dialect of a system: a file of it} in a folder, what is wrong): of a system with several there is one."""
    there, needed = {}, {}
    for table in tables:
        if table.dialect and table.identifier in found:
            one = found[table.identifier]
            there.setdefault(table.dialect, (one.wholes + one.parts + one.unread)[0])
        if table.dialect and table.is_required:
            needed.setdefault(table.dialect, []).append(table.base)
    if len(there) > 1:
        (kind, path), (other_kind, other) = list(there.items())[:2]
        return there, f"{path} is of the {kind}, {other} of the {other_kind}: they hold the same twice; keep one of the two"
    if needed and not there:
        options = " or ".join(f"{' and '.join(bases)} ({kind})" for kind, bases in needed.items())
        return there, f"source '{tables[0].source}' needs {options} in {where} as {READABLE}; none is there{lying_in(where)}"
    return there, None


def entries(folder):
    """What lies in a folder, without what systems and loaders keep there for themselves (.DS_Store, _SUCCESS)."""
    return sorted(path for path in folder.iterdir() if path.name[0] not in "._")


def within(folder, name):
    """A folder by its name, in any case."""
    alike = [path for path in entries(folder) if path.is_dir() and path.name.lower() == name.lower()]
    return next((path for path in alike if path.name == name), alike[0] if alike else folder / name)


def ending(path):
    """'.csv.gz' of Orders.CSV.GZ; '' if it is no format that can be read."""
    return max((end for end in FORMATS if path.name.lower().endswith(end)), key=len, default="")


def stem(path):
    return path.name[: len(path.name) - len(ending(path))]


def holds(table, path):
    """Whether a file or folder is the table, by its name: (None, 'whole' or 'part', how many letters say so)."""
    name, best = stem(path).lower(), (None, 0)
    for base in (name.lower() for name in [table.base, *table.aliases]):
        rest = re.split(r"[-_ .()]+", name[len(base) :].strip("-_ .()"))
        if "*" in base:
            kind = "part" if fnmatch.fnmatchcase(name, base) else None
        elif name == base:
            kind = "whole"
        elif name.startswith(base) and name[len(base)] in "-_ .(" and any(rest):
            kind = "part" if all(word in WORDS or re.search(r"\d", word) for word in rest) else None
        else:
            kind = None
        if kind and len(base) > best[1]:
            best = (kind, len(base))
    return best


def look(folder, tables):
    """{identifier: Candidates} of the tables that lie directly in a folder; order_line_2.csv is of order_line, not of order."""
    found, unread = {}, []
    for path in entries(folder) if folder.is_dir() else ():
        if not path.is_dir() and not (path.is_file() and (ending(path) or is_unread(path))):
            continue
        name = path if path.is_dir() or ending(path) else path.with_name(path.name.split(".")[0])
        (kind, _), table = max(((holds(table, name), table) for table in tables), key=lambda match: match[0][1])
        if kind and name != path:
            unread.append((table.identifier, path))
        elif kind:
            own = found.setdefault(table.identifier, Candidates())
            (own.wholes if kind == "whole" else own.parts).append(path)
    for table, path in unread:
        if table in found:  # else it is missing, and what lies there instead is said
            found[table].unread.append(path)
    return found


def is_unread(path):
    return path.name.lower().endswith(UNREAD) and not ending(path)


def parts_of(folder):
    """(files that can be read, files of data that cannot) in a folder of parts, also deeper in it."""
    files = [
        path for path in sorted(folder.rglob("*")) if path.is_file() and not any(name[0] in "._" for name in path.relative_to(folder).parts)
    ]
    return [path for path in files if ending(path)], [path for path in files if is_unread(path)]


def choose(found, instance):
    """(Place, None), or (None, what is wrong) if it is not clear which files are the table."""
    both = found.wholes + found.parts
    for folder in both:
        if (folder / "_delta_log").is_dir() or list(folder.glob("metadata/*.metadata.json")):
            return None, f"{folder}: a Delta or Iceberg table keeps its old files, too; export it as plain Parquet"
    if len(found.wholes) > 1:
        return None, f"two files for one table: {both[0]} and {both[1]}; keep one"
    if found.wholes and found.parts:
        return None, f"two files for one table: {both[0]}, and {both[1]} as a part of it; keep the whole or the parts"
    files, unread = [], []
    for path in both:
        own, other = parts_of(path) if path.is_dir() else ([path], [])
        unread += other
        if not own:
            return None, f"{path}/: no part in this folder is {READABLE}{lying_in(path)}"
        files += own
    by_format = {}
    for path in files:
        by_format.setdefault(FORMATS[ending(path)], path)
    if len(by_format) > 1:
        one, other = list(by_format.values())[:2]
        return None, f"two formats for one table: {one} and {other}; keep one"
    return Place(instance, *by_format, files, unread), None


def lying_in(folder, meant=""):
    """'; found: customers.csv, order.csv; did you mean order.csv?'"""
    if not folder.is_dir():
        return f"; there is no folder {folder.name}/{lying_in(folder.parent, folder.name)}"
    names = [path.name + ("/" if path.is_dir() else "" if path.exists() else " (a broken link)") for path in entries(folder)]
    said = names_said(names, meant)
    if any(name.lower().endswith((".xlsx", ".xls", ".ods", ".zip")) for name in names):
        said += "; spreadsheets and archives cannot be read, save the tables in them as CSV"
    return said


def names_said(names, meant):
    """'; found: customers, order; did you mean order?'"""
    if not names:
        return "; nothing is there"
    said = "; found: " + ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    stems = {stem(Path(name)).lower(): name for name in reversed(names)}
    near = difflib.get_close_matches(meant.lower(), stems, n=1)
    return said + (f"; did you mean {stems[near[0]]}?" if near else "")
