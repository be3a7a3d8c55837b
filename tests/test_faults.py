"""Of what is full, read-only, forbidden, damaged or held every script says in one sentence what, where and how to mend it."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack

import duckdb
import pytest

from support import PROJECT, mounted, script

LONG = os.environ.get("TEST_LONG")
# script: (its arguments, the places that it writes to, the files that it reads)
SCRIPTS = {
    "publish": (["publish.py"], ["published"], ["warehouse"]),
    "publish --parquet": (["publish.py", "--parquet", "{published}/parquet"], ["published"], []),
    "publish_postgres": (["publish_postgres.py"], [], ["marts"]),
    "record_state": (["record_state.py"], ["state"], ["warehouse", "events"]),
    "export run": (["export_audiences.py", "run", "--out", "{exports}", "--now", "2026-07-01"], ["exports", "state"],
                   ["marts", "ledger"]),
    "export ack": (["export_audiences.py", "ack", "{run}", "--out", "{exports}"], ["state"], ["ledger"]),
    "export purge": (["export_audiences.py", "purge", "--out", "{exports}", "--now", "2027-01-01"], ["exports", "state"],
                     ["ledger"]),
    "report": (["report.py", "--out", "{page}/report.html"], ["page"], ["marts"]),
    "validate_raw": (["validate_raw.py", "--as-of", "2026-06-30", "--html", "{page}/checks.html"], ["page"], ["counts"]),
    "validate_raw --skip-validate": (["validate_raw.py", "--skip-validate"], ["state"], []),
    "daily": (["daily.py", "--out", "{exports}"], ["state"], []),
}  # fmt: skip
SENTENCES = {
    "full": (1, "the disk is full, or a size limit is reached; make room"),
    "read-only": (2, "the file system is read-only; mount it writable, or name another place"),
    "forbidden": (2, "permission is missing; let the user that runs this read and write there"),
    "held": (75, "another process holds it; try again when it has ended"),
    "cut": (3, "it is cut off or damaged, or no such file at all; "),
    "junk": (3, "it is cut off or damaged, or no such file at all; "),
    "empty": (3, "it is cut off or damaged, or no such file at all; "),
}
MENDED = {
    "warehouse": "delete it and run `dbt build`: it is made again from raw data and state",
    "marts": "delete it and publish again",
    **dict.fromkeys(("events", "ledger", "counts"), "restore it from a backup: nothing makes the state again"),
}  # fmt: skip
WRITES = [
    (name, place, fault) for name, (_, places, _) in SCRIPTS.items() for place in places for fault in ("full", "read-only", "forbidden")
    if (name, place, fault) != ("export purge", "exports", "full")  # deleting needs no room
    and (LONG or (name, place) != ("validate_raw", "page") or fault == "full")  # 10 s each
]  # fmt: skip
READS = [
    (name, file, fault) for name, (_, _, files) in SCRIPTS.items() for file in files
    for fault in ("cut", "forbidden", *(["held"] if file in ("warehouse", "marts") else []), *(["junk", "empty"] if LONG else []))
]  # fmt: skip
WITHOUT_RIGHTS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]  # root may else read and write everything


@pytest.fixture(scope="module")
def healthy(demo_raw, demo_warehouse, published_demo, tmp_path_factory):
    """What a run of everything leaves: state, exports."""
    folder = tmp_path_factory.mktemp("healthy")
    environment = {
        "LIFECYCLE_WAREHOUSE": demo_warehouse,
        "LIFECYCLE_PUBLISHED": published_demo,
        "LIFECYCLE_STATE": folder / "state",
        "LIFECYCLE_RAW": demo_raw,
    }
    shutil.copytree(demo_warehouse.with_suffix(".state"), folder / "state")
    for words in (["record_state.py"], ["export_audiences.py", "run", "--out", folder / "exports", "--now", "2026-07-01"],
                  ["validate_raw.py", "--as-of", "2026-06-30", "--html", folder / "page.html"]):  # fmt: skip
        done = script(*words, **environment)
        assert done.returncode in (0, 1, 5), done.stderr
    return folder


class Place:
    """Folders of their own for one script, and what is wrong with one of them."""

    def __init__(self, folder, healthy, warehouse, marts, raw):
        self.folder, self.stack = folder, ExitStack()
        self.paths = {name: folder / name for name in ("published", "state", "exports", "page")}
        for name in ("published", "page"):
            self.paths[name].mkdir()
        for name in ("state", "exports"):
            shutil.copytree(healthy / name, self.paths[name])
        self.warehouse, self.marts, self.raw, self.rights, self.more = warehouse, marts, raw, [], {}
        (self.run,) = [path.name for path in self.paths["exports"].glob("2*")]
        self.published = self.paths["published"] / "customer_lifecycle.duckdb"

    def command(self, words):
        words = [word.format(run=self.run, **self.paths) for word in words]
        writes = words[0] in ("publish.py", "daily.py")
        return [*self.rights, sys.executable, PROJECT / "scripts" / words[0], *words[1:]], {
            "LIFECYCLE_WAREHOUSE": self.warehouse, "LIFECYCLE_PUBLISHED": self.published if writes else self.marts,
            "LIFECYCLE_STATE": self.paths["state"], "LIFECYCLE_RAW": self.raw, "PYTHONDONTWRITEBYTECODE": 1, **self.more,
        }  # fmt: skip

    def __call__(self, words):
        command, environment = self.command(words)
        return subprocess.run(command, cwd=PROJECT, env=os.environ | {key: str(value) for key, value in environment.items()},
                              capture_output=True, text=True, check=False)  # fmt: skip

    def spoil(self, fault, path):
        """A folder that cannot be written to, or a file that cannot be read."""
        if fault == "forbidden":
            self.without_rights()
            for own in [path, *path.rglob("*")] if path.is_dir() else [path]:
                mode = own.stat().st_mode
                own.chmod(0o500 if own.is_dir() else 0o400 if path.is_dir() else 0)
                self.stack.callback(own.chmod, mode)
        elif fault == "held":
            self.stack.enter_context(duckdb.connect(str(path)))
        elif path.is_dir():
            self.stack.enter_context(mounted(path, fault))
        else:
            content = path.read_bytes()
            path.write_bytes(
                {"cut": content[: len(content) // 2], "junk": b"eva@example.com,no such file\n" * 500, "empty": b""}[fault]
            )

    def without_rights(self):
        if os.geteuid() == 0:
            if not shutil.which("setpriv"):
                pytest.skip("root may read and write everything, and setpriv is not here to forbid it")
            self.rights = WITHOUT_RIGHTS

    def files(self):
        return {str(path.relative_to(self.folder)): path.stat().st_size for path in self.folder.rglob("*")
                if path.is_file() and not path.name.endswith((".lock", "filler")) and "/logs/" not in str(path)}  # fmt: skip


@pytest.fixture
def place(healthy, demo_warehouse, published_demo, demo_raw, tmp_path):
    place = Place(tmp_path, healthy, demo_warehouse, published_demo, demo_raw)
    yield place
    place.stack.close()


def check(done, fault):
    code, sentence = SENTENCES[fault]
    said = done.stderr
    assert done.returncode == code or (code, done.returncode) == (1, 70), (done.returncode, said, done.stdout[-300:])
    assert re.fullmatch(r"\w+: [^\n]+\n", said) and sentence in said and "Traceback" not in said + done.stdout, said
    assert not re.search(r"[\w.]+@[\w.]+", said + done.stdout), "nobody's address"


@pytest.mark.parametrize(("name", "where", "fault"), WRITES)
def test_a_place_that_cannot_be_written_to(place, name, where, fault):
    if name == "record_state":
        shutil.rmtree(place.paths["state"] / "audience_events")  # else there is nothing to record
    place.spoil(fault, place.paths[where])
    before = place.files()
    done = place(SCRIPTS[name][0])
    check(done, fault)
    assert str(place.paths[where]) in done.stderr, "where"
    after, spoilt = place.files(), f"{where}/"
    assert {path: size for path, size in after.items() if path.startswith(spoilt)} == {
        path: size for path, size in before.items() if path.startswith(spoilt)}, "nothing is lost"  # fmt: skip
    assert not [path for path in after.keys() - before.keys() if "/." in path], "nothing half-written is left"


@pytest.mark.parametrize(("name", "file", "fault"), READS)
def test_a_file_that_cannot_be_read(place, name, file, fault, request):
    words = SCRIPTS[name][0]
    if (name, fault) == ("publish_postgres", "cut"):  # which is seen while it is copied
        place.more = request.getfixturevalue("server")
    if file in ("warehouse", "marts"):
        path = place.folder / "spoilt.duckdb"
        shutil.copy(getattr(place, file), path)
        setattr(place, file, path)
    else:
        names = {"events": "audience_events/*.parquet", "ledger": "deliveries/ledger/*.json", "counts": "raw_checks/*.parquet"}
        path = next(place.paths["state"].glob(names[file]))
    place.spoil(fault, path)
    before = place.files()
    done = place(words)
    check(done, fault)
    assert path.name in done.stderr, "where"
    if fault in ("cut", "junk", "empty"):
        assert MENDED[file] in done.stderr, "how to mend it"
    assert place.files() == before
