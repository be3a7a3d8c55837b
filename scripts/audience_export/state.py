"""The state of the export: the ledger, its locks and logs; and what changes it besides a run: ack, expiry, former versions.

Errors: Problem 2 for a run that cannot be acknowledged, 75 when another process is at a delivery.
"""

import csv
import fcntl
import json
import re
import shutil
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

import duckdb

from common import sync, temporary_folder
from keyed_hash import read_key, use_key

from . import files, rows
from .config import BUSY, USAGE, Problem
from .ledger import Ledger

RUN = re.compile("[0-9]{8}T[0-9]{6}Z(-[0-9]{3})?")


class State:
    """<folder>/key, and <folder>/deliveries with ledger/, logs/ and locks/; all private."""

    def __init__(self, folder):
        self.root, self.folder = Path(folder), Path(folder) / "deliveries"
        self.ledger = Ledger(folder)

    def key(self):
        return read_key(self.root)

    @contextmanager
    def lock(self, names, create=True):
        """Hold the locks of these deliveries; Problem 75 when another process holds one."""
        with ExitStack() as stack:
            for path in (self.folder / "locks" / f"{name}.lock" for name in sorted(names)):
                if not create and not path.exists():
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                if not locked(stack.enter_context(open(path, "a"))):
                    raise Problem(BUSY, f"another run is at '{path.stem}'; try again when it has ended")
            self.ledger.read()
            yield

    # ---- acks ----

    def acknowledge(self, out, run_id, name, refused=None):
        """Record that a delivery arrived, but for the refused identifiers, and withdraw it and older ones (R4).

        Returns a sentence.
        """
        entry, folder = self.ledger.entry(run_id, name), Path(out) / run_id
        manifest = read_manifest(folder)
        if entry is None:
            others = [other.name for other in self.ledger.entries if other.run == run_id]
            raise Problem(USAGE, f"{run_id} has no delivery '{name}', only {', '.join(others)}" if others else
                          f"{folder}: there is no such run, or it has expired")
        if entry.acked:
            return f"{name}: {run_id} was acknowledged before"
        record = manifest["deliveries"].get(name) if manifest else None
        if record:
            for file in all_files(record):
                if not (Path(out) / run_id / file["path"]).exists() or files.seal(folder / file["path"]) != file["sha256"]:
                    raise Problem(USAGE, f"{folder}/{file['path']}: changed since it was written; it cannot be acknowledged")
        event = {"event": "acknowledged", "run": run_id, "delivery": name}
        if refused is not None:
            event["refused"], count = self._refused(folder, record, run_id, name, refused)
            event["refused_rows"] = count
        # Nobody may import what is acknowledged again, so the files go before the ledger counts on it.
        for old in self.ledger.of(name):
            if old.died is None and old.seq <= entry.seq:
                self.withdraw(Path(out) / old.run, name)
        self.ledger.append(event)
        said = f", but for {event['refused_rows']} rows that were refused" if refused is not None else ""
        return f"{name}: {run_id} is acknowledged{said}; the next run starts from it"

    def withdraw(self, folder, name):
        """Take the files of one delivery out of a run's folder, which goes with the last."""
        manifest = read_manifest(folder)
        if not manifest or name not in manifest["deliveries"]:
            return
        del manifest["deliveries"][name]
        if manifest["deliveries"]:
            files.write_json(folder / "manifest.json", {**manifest, "withdrawn": sorted({*manifest.get("withdrawn", []), name})})
            shutil.rmtree(folder / name, ignore_errors=True)
            return
        withheld = folder / "quarantine.csv"
        if withheld.exists() and len(withheld.read_bytes().splitlines()) > 1:
            (self.folder / "logs").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(withheld, self.quarantine(folder.name))
        remove(folder)

    def quarantine(self, run_id):
        """Where the list of withheld values is once a run is withdrawn."""
        return self.folder / "logs" / f"{run_id}-quarantine.csv"

    def _refused(self, folder, record, run_id, name, path):
        """Store the keys of all rows in which a refused identifier stands. Returns (file, how many rows)."""
        try:
            lines = list(csv.reader(Path(path).read_text(encoding="utf-8-sig").splitlines(), delimiter=record["separator"] if record else ","))
        except (OSError, UnicodeDecodeError, csv.Error):
            raise Problem(USAGE, f"{path}: this is no readable file of refused rows") from None
        if record is None:
            raise Problem(USAGE, f"{folder}: the files of '{name}' are gone, so what was refused in them cannot be found")
        headers = {header for shape in record["shapes"] for header in shape["headers"]}
        found = [i for i, cell in enumerate(lines[0]) if cell.strip() in headers] if lines else []
        cells = [[row[i].strip() for i in (found or range(len(row))) if i < len(row) and row[i].strip()] for row in lines[bool(found):]]
        wanted = [row for row in cells if row]
        with duckdb.connect() as con, temporary_folder("lifecycle_export_") as scratch:
            con.execute("create temp table refused (line bigint, cell varchar)")
            pairs = [(n, cell) for n, row in enumerate(wanted) for cell in row]
            if pairs:
                con.execute("insert into refused select unnest(?::bigint[]), unnest(?::varchar[])", [list(column) for column in zip(*pairs, strict=True)])
            con.execute("create temp table hits (audience varchar, sign varchar, header varchar, value blob, cell varchar, place bigint)")
            for audience, sign, ids, file in identified_files(record):
                table = files.reader(folder / file["path"], record["format"], record["separator"], file["columns"])
                row = f"(select row_number() over () as place, {', '.join(f'({rows.quoted(h)})::varchar as i{n}' for n, (h, _) in enumerate(ids))} from {table})"
                cells = " union all ".join(f"select place, i{n} as cell, {rows.literal(h)} as header, {rows.as_bytes(f'i{n}', x)} as value from {row}"
                                           f" where i{n} is not null" for n, (h, x) in enumerate(ids))
                con.execute(f"""insert into hits with cells as ({cells}),
                    bad as (select distinct cells.place, refused.cell from cells join refused on lower(refused.cell) = lower(cells.cell))
                    select {rows.literal(audience)}, {rows.literal(sign)}, header, value, bad.cell, place from cells join bad using (place)""")
            missing = con.execute("select count(*) from (select line from refused group by line having not bool_or(cell in (select cell from hits)))").fetchone()[0]
            if missing or not wanted:
                raise Problem(USAGE, f"{path}: {missing} of {len(wanted)} lines name nobody in {run_id}/{name}, so nothing was acknowledged; "
                                     "give one refused identifier a line, or the refused rows with their header")
            query = f"select distinct {rows.literal(run_id)} as run, audience, sign, header, value from hits"
            made, _ = self.ledger.prepare(con, query, scratch)
            self.ledger.take(scratch, [{"file": made.name}])
            return made.name, len(wanted)

    def told(self, given, names):
        """Close by hand what a key's erasure or removal still waits for. given: as written, or 16 digits of its hash."""
        found = set()
        with duckdb.connect() as con:
            use_key(con, self.key())
            for name in names or sorted({entry.name for entry in self.ledger.entries}):
                for audience in self.ledger.audiences(name):
                    self.ledger.table(con, name, audience, "plus", view="all_rows")
                    found |= {row[0] for row in con.execute(
                        f"select distinct left(lower(hex(k)), 16) as short from ({self.ledger.keys(name, 'all_rows', '')}) where k is not null "
                        "and (short = lower($1) or value = encode($1) or lower(hex(value)) = lower($1))", [given]).fetchall()}
        if not found:
            raise Problem(USAGE, "--told: no destination was ever given such an identifier, or it is forgotten already")
        self.ledger.append({"event": "told", "keys": sorted(found)})
        return "closed by hand: nobody is told about it any more"

    # ---- expiry ----

    def expire(self, out, now):
        """Delete runs that have expired, and note that they can no longer be imported. Returns sentences."""
        notes = []
        for run_id in dict.fromkeys(entry.run for entry in self.ledger.entries if entry.died is None
                                    and datetime.fromisoformat(entry.node["expires_at"]) <= now):
            remove(Path(out) / run_id)
            self.ledger.append({"event": "withdrawn", "run": run_id, "why": "expired"})
            notes.append(f"{Path(out) / run_id}: expired, deleted")
        for path in sorted(Path(out).glob("*/manifest.json")):
            manifest = read_manifest(path.parent)
            if manifest and datetime.fromisoformat(manifest["expires_at"]) <= now:
                remove(path.parent)
                notes.append(f"{path.parent}: expired on {manifest['expires_at'][:10]}, deleted")
        return notes

    # ---- what others left ----

    def catch_up(self, out, now, deliveries, dry_run):
        """Bring the ledger up to date before a run: names, former versions, lost state, expiry. Returns sentences."""
        for delivery in deliveries:
            old = delivery.given.get("renamed_from")
            if old and self.ledger.of(old):
                self.ledger.append({"event": "renamed", "old": old, "new": delivery.name})
        notes = [] if dry_run else self.expire(out, now)
        return self.adopt(out, deliveries) + notes

    def adopt(self, out, deliveries):
        """Read what the ledger does not know but lies there: snapshots of former versions once, and runs whose state is lost
        (R13). Returns sentences.
        """
        notes = self._migrate(deliveries)
        known = {entry.run for entry in self.ledger.entries}
        for path in sorted(Path(out).glob("*/manifest.json")):
            manifest = read_manifest(path.parent)
            if manifest and manifest["run"] not in known and manifest.get("deliveries"):
                self._adopt_run(path.parent, manifest)
                notes.append(f"{path.parent}: the state did not know this run, so all in it may be imported or not until it is acknowledged")
        return notes

    def _adopt_run(self, folder, manifest):
        nodes = {}
        with duckdb.connect() as con, temporary_folder("lifecycle_export_") as scratch:
            use_key(con, self.key())
            for name, record in manifest["deliveries"].items():
                shapes = record.setdefault("shapes", guessed_shapes(record))
                parts = []
                for audience, sign, ids, file in identified_files(record):
                    table = files.reader(folder / file["path"], record["format"], record["separator"], file["columns"])
                    columns = [(header, rows.quoted(header)) for header in file["columns"]]
                    texts = [f"({rows.quoted(header)})::varchar" for header, _ in ids]
                    values = [rows.as_bytes(text, is_hex) for text, (_, is_hex) in zip(texts, ids, strict=True)]
                    if sign == "plus":
                        shape = next(s for s in shapes if s["headers"] == [header for header, _ in ids])
                        select = (f"select {rows.literal(manifest['run'])} as run, {rows.literal(shape['id'])} as shape, "
                                  f"{rows.digest(columns, record.get('updated_at'))} as digest, "
                                  + ", ".join(f"{value} as i{n}, {rows.address_hash(sha_of(text))} as k{n}"
                                              for n, (value, text) in enumerate(zip(values, texts, strict=True))) + f" from {table}")
                    else:
                        select = " union all ".join(
                            f"select {rows.literal(manifest['run'])} as run, {rows.literal(file.get('shape') or shapes[0]['id'])} as shape, "
                            f"{rows.literal(header)} as header, {value} as value from {table} where {text} is not null"
                            for (header, _), value, text in zip(ids, values, texts, strict=True))
                    made, count = self.ledger.prepare(con, select, scratch)
                    if count:
                        parts.append({"audience": audience, "sign": sign, "file": made.name, "rows": count})
                nodes[name] = node_of(record, manifest, parts)
            self.ledger.take(scratch, [part for node in nodes.values() for part in node["parts"]])
        self.ledger.append({"event": "published", "run": manifest["run"], "deliveries": nodes})

    def _migrate(self, deliveries):
        """Read the snapshots of former versions: what the last acknowledged run of each delivery left there."""
        old, by_name, notes = self.folder / "acknowledged", {delivery.name: delivery for delivery in deliveries}, []
        for folder in sorted(old.glob("*")) if old.is_dir() else ():
            name, delivery = folder.name, by_name.get(folder.name)
            if delivery is None or self.ledger.of(name):
                continue
            newest = {}
            for path in sorted(folder.glob("*/ack.json")):
                ack = json.loads(path.read_text(encoding="utf-8"))
                newest |= {audience: (ack["run"], path.parent / f"{audience}.parquet") for audience in ack["audiences"]}
            newest = {audience: found for audience, found in newest.items() if found[1].exists()}
            if not newest:
                continue
            run_id, shape, parts = max(run for run, _ in newest.values()), delivery.shape(), []
            with duckdb.connect() as con, temporary_folder("lifecycle_export_") as scratch:
                use_key(con, self.key())
                for audience, (_, path) in newest.items():
                    found = [row[0] for row in con.execute(f"describe from {rows.literal(path)}").fetchall()]
                    ids = [n for n in range(len(shape["headers"])) if f"i{n}" in found]
                    beside = delivery.merging() if delivery.merging() in found else "null::varchar"
                    made, count = self.ledger.prepare(con, f"select {rows.literal(run_id)} as run, {rows.literal(shape['id'])} as shape, digest, "
                        + ", ".join(f"{rows.as_bytes(f'i{n}', shape['hex'][n] )} as i{n}, {rows.address_hash(sha_of(f'i{n}'))} as k{n}" for n in ids)
                        + f", {beside} as beside from read_parquet({rows.literal(path)})", scratch)
                    if count:
                        parts.append({"audience": audience, "sign": "plus", "file": made.name, "rows": count})
                self.ledger.take(scratch, parts)
            before = [json.loads(path.read_text()) for path in sorted((self.folder / "published").glob("*.json"))]
            last = next((b["deliveries"][name] for b in reversed(before) if name in b["deliveries"]), {})
            self.ledger.append({"event": "published", "run": run_id, "deliveries": {name: {
                "at": at_of(run_id), "expires_at": at_of(run_id), "mode": delivery.mode, "account": delivery.account, "channel": delivery.channel,
                "destination": delivery.destination, "given": delivery.given, "config": None, "shapes": [shape], "audiences": sorted(newest),
                "people": last.get("people", {}), "suppression_list": 0, "parts": parts}}})
            self.ledger.append({"event": "acknowledged", "run": run_id, "delivery": name})
            shutil.rmtree(folder)
            notes.append(f"{name}: what {run_id} left there was read from the state of a former version")
        if old.is_dir() and not any(old.iterdir()):
            old.rmdir()
        return notes


def node_of(record, manifest, parts, config=None):
    """What the ledger keeps of one delivery of a run."""
    return {"at": manifest["created_at"], "expires_at": manifest["expires_at"], "mode": record["mode"],
            "account": record.get("account"), "channel": record["channel"], "destination": record["destination"],
            "given": record.get("given", {}), "config": config, "shapes": record["shapes"],
            "audiences": sorted(name for name, node in record["audiences"].items() if not node.get("dropped")),
            "people": {name: node["waterfall"]["written"] for name, node in record["audiences"].items() if not node.get("dropped")},
            "suppression_list": record.get("suppression_list", 0), "parts": parts}


def identified_files(record):
    """(audience, sign, [(identifier's header, whether it is a hash)], file) of all files of a delivery; '' is suppressions."""
    is_hex = {header: hexed for shape in record["shapes"] for header, hexed in zip(shape["headers"], shape["hex"], strict=True)}

    def ids(file):
        return [(header, is_hex[header]) for header in file["columns"] if header in is_hex]

    for audience, node in record["audiences"].items():
        for file in node["files"]:
            yield audience, "minus" if file["change"] == "removed" else "plus", ids(file), file
    for sign, key in (("plus", "suppress"), ("minus", "unsuppress")):
        for file in record.get(key, []):
            yield "", sign, ids(file), file


def guessed_shapes(record):
    """The shapes of a run of a former version, whose manifest does not say them."""
    headers = next((node["identifiers"] for node in record["audiences"].values()), [])
    found = [{"id": "former", "headers": headers, "hex": [False] * len(headers)}]
    listed = [header for file in record["suppress"] for header in file["columns"] if header in headers]
    return found + [{"id": "sformer", "headers": listed, "hex": [False] * len(listed)}] * (bool(listed) and listed != headers)


def sha_of(text):
    """SQL: the SHA-256 of the address behind an identifier as written, as far as that alone tells it."""
    return (f"case when regexp_full_match({text}, '[0-9a-f]{{64}}') then {text} "
            f"when regexp_full_match({text}, '[1-9][0-9]{{9,14}}') then sha256('+' || {text}) else sha256({text}) end")


def all_files(record):
    return [*record["suppress"], *record.get("unsuppress", []), *(file for node in record["audiences"].values() for file in node["files"])]


def at_of(run_id):
    return datetime.strptime(run_id[:16], "%Y%m%dT%H%M%SZ").isoformat() + "+00:00"


def read_manifest(folder):
    """The manifest of a run's folder; None when it is none."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return None
    return manifest if manifest.get("run") == folder.name else None


def remove(folder):
    """Delete a run so that it is there whole or not at all, also when this is interrupted."""
    if folder.is_dir():
        hidden = folder.with_name(f".gone-{folder.name}")
        shutil.rmtree(hidden, ignore_errors=True)
        folder.rename(hidden)
        sync(folder.parent)
        shutil.rmtree(hidden, ignore_errors=True)


def locked(file):
    """Take an exclusive lock on an open file or handle, unless another process has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
