"""What was published and acknowledged: read by guards and deltas, written by runs and acks.

Errors: Problem 2 for a run that cannot be acknowledged, 75 when another process is at a delivery.
"""

import fcntl
import json
import re
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb

from . import files, rows
from .config import BUSY, USAGE, Problem


class State:
    """What was published and acknowledged, append-only, in <folder>/deliveries.

    published/<run>.json: counts; acknowledged/<delivery>/<run>/: ack.json (written last) and <audience>.parquet with
    the identifiers that the destination holds (i0 …) and a digest of each row; logs/ and locks/.
    """

    def __init__(self, folder):
        self.folder = Path(folder) / "deliveries"

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
            yield

    def published(self, name):
        """The newest record of a delivery, {} before the first."""
        for path in sorted((self.folder / "published").glob("*.json"), reverse=True):
            record = json.loads(path.read_text())["deliveries"].get(name)
            if record:
                return record
        return {}

    def acknowledged(self, name, audience=None):
        """The newest ack.json of a delivery (that holds the audience), with its `folder`, or None."""
        for path in sorted((self.folder / "acknowledged" / name).glob("*/ack.json"), reverse=True):
            ack = json.loads(path.read_text())
            if audience is None or audience in ack["audiences"]:
                return {**ack, "folder": path.parent}
        return None

    def snapshot(self, name, audience):
        """The Parquet file of what a destination holds of an audience, None when nothing is known."""
        ack = self.acknowledged(name, audience)
        return ack["folder"] / f"{audience}.parquet" if ack else None

    def acknowledge(self, out, run_id, name):
        """Record that a delivery arrived: the state then holds what the destination holds. Returns a sentence."""
        folder, path = Path(out) / run_id, Path(out) / run_id / "manifest.json"
        if not re.fullmatch("[0-9TZ-]+", run_id) or not path.exists():
            raise Problem(USAGE, f"{folder}: there is no such run, or it has expired")
        manifest = json.loads(path.read_text(encoding="utf-8"))
        record, latest = manifest["deliveries"].get(name), self.acknowledged(name)
        if record is None:
            raise Problem(USAGE, f"{run_id} has no delivery '{name}', only {', '.join(manifest['deliveries'])}")
        if latest and latest["run"] == run_id:
            return f"{name}: {run_id} was acknowledged before"
        if latest and latest["run"] > run_id:
            raise Problem(USAGE, f"{name}: {latest['run']} is newer and acknowledged already")
        for file in [*record["suppress"], *(file for node in record["audiences"].values() for file in node["files"])]:
            if not (folder / file["path"]).exists() or files.seal(folder / file["path"]) != file["sha256"]:
                raise Problem(USAGE, f"{folder}/{file['path']}: changed since it was written; it cannot be "
                                     "acknowledged")
        target = self.folder / "acknowledged" / name / run_id
        target.mkdir(parents=True, exist_ok=True)
        with duckdb.connect(config={"temp_directory": str(target), "preserve_insertion_order": False}) as con:
            for audience in record["audiences"]:
                path = target / f"{audience}.parquet"
                con.execute(f"copy ({self._held_then(folder, name, record, audience)}) to {rows.literal(path)}")
                files.seal(path)
        files.write_json(target / "ack.json", {
            "run": run_id, "delivery": name, "created_at": manifest["created_at"],
            "suppress": [file["sha256"] for file in record["suppress"]],
            "audiences": {a: {"fingerprint": node["fingerprint"]} for a, node in record["audiences"].items()}})
        return f"{name}: {run_id} is acknowledged; the next delta starts from it"

    def _held_then(self, folder, name, record, audience):
        """The SELECT of what a destination holds of an audience once the files of a run are there."""
        node, parts = record["audiences"][audience], {}
        for file in node["files"]:
            columns = [(header, rows.quoted(header)) for header in file["columns"]]
            table = files.reader(folder / file["path"], record["format"], record["separator"], file["columns"])
            merging = {} if file["change"] == "removed" else node.get("merging", {})
            shape = rows.snapshot_columns(node["identifiers"], columns, record["updated_at"], merging)
            parts.setdefault(file["change"], []).append(f"select {shape} from {table}")
        held = [select for change, selects in parts.items() if change != "removed" for select in selects]
        if node.get("baseline"):
            latest, snapshot = self.acknowledged(name, audience), self.snapshot(name, audience)
            if not latest or not snapshot.exists():
                raise Problem(USAGE, f"{name}/{audience}: {folder.name} holds the changes since {node['baseline']}, of "
                                     f"which {self.folder} has no record any more; run again: everybody is added then")
            if latest["run"] != node["baseline"]:
                raise Problem(USAGE, f"{name}/{audience}: {folder.name} holds the changes since {node['baseline']}, "
                                     f"but {latest['run']} was acknowledged since")
            key = rows.key(f"i{n}" for n in range(len(node["identifiers"])))
            touched = " union all ".join(f"select {key} as key from ({part})"
                                         for part in parts["changed"] + parts["removed"])
            before = f"select *, {key} as key from {rows.literal(snapshot)}"
            held.append(f"select * exclude key from ({before}) anti join ({touched}) using (key)")
        return " union all by name ".join(held)  # snapshots of former versions kept less


def locked(file):
    """Take an exclusive lock on an open file or handle, unless another process has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
