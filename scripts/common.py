"""What several scripts share."""

import errno
import fcntl
import json
import os
import re
import shutil
import stat
import sys
import tempfile
from contextlib import contextmanager
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import duckdb

# the exit codes of every script; validate_raw.py alone says 1 for warnings, and 70 for what is unexpected
OK, UNEXPECTED, USAGE, WRONG, BLOCKED, WITHHELD, BUSY, INTERRUPTED = 0, 1, 2, 3, 4, 5, 75, 130

DAMAGED = "it is cut off or damaged, or no such file at all"
# (what the system or DuckDB says, exit code, what that is, what to do)
FAULTS = [
    ("No space left|File too large|[Dd]isk quota|max_temp_directory_size", UNEXPECTED,
     "the disk is full, or a size limit is reached", "make room and run again"),
    ("Read-only file system", USAGE, "the file system is read-only", "mount it writable, or name another place"),
    ("Permission denied|Operation not permitted", USAGE, "permission is missing",
     "let the user that runs this read and write there, or name another place"),
    ("Could not set lock|Conflicting lock", BUSY, "another process holds it", "try again when it has ended"),
    ("Not a directory|Is a directory|File exists", USAGE, "a file is where a folder should be, or the other way round",
     "name another place"),
    ("No such file or directory|No files found that match|database does not exist", USAGE, "it is not there",
     "name another place, or make it"),
    ("Trying to read a database file with version", WRONG, "another version of DuckDB wrote it", None),
    ("not a valid DuckDB|Could not read enough bytes|Could not read from file|Corrupt database|does not match stored checksum"
     "|Serialization Error|too small to be a Parquet|No magic bytes|TProtocolException|Invalid TType|Snappy|ZSTD"
     "|Input/output error",
     WRONG, DAMAGED, None),
]  # fmt: skip
# what can be made again, and what cannot
REMEDIES = {
    "warehouse": "delete it and run `dbt build`: it is made again from raw data and state",
    "published": "delete it and publish again (`make build`): it is made from the warehouse",
    "state": "restore it from a backup: nothing makes the state again",
}


class Problem(Exception):
    """A problem the user can mend, as one line without personal data; `code` is the exit code."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def run_script(name, work, *, unexpected=UNEXPECTED, **places):
    """The exit code of a script. Whatever stops it is one line on standard error that says what, where and how to mend it.

    places: the files and folders it works with, as warehouse, state, published or another word.
    """
    try:
        return work() or OK
    except (Exception, KeyboardInterrupt) as error:
        problem = explained(error, places)
    print(f"{name}: {problem}", file=sys.stderr)
    return unexpected if problem.code == UNEXPECTED else problem.code


def explained(error, places):
    """The Problem that an exception is. DuckDB quotes values in its messages: of them only known faults and paths are told."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, KeyboardInterrupt | duckdb.InterruptException):
        return Problem(INTERRUPTED, "interrupted; what was there before stays, and the next run goes on")
    if isinstance(error, OSError | duckdb.Error):
        known = fault(str(error), places, getattr(error, "filename2", None) or getattr(error, "filename", None))
        if known:
            return known
    frame = error.__traceback__
    while frame.tb_next:
        frame = frame.tb_next
    kind = f"{type(error).__name__} {errno.errorcode.get(getattr(error, 'errno', None), '')}"
    where = f"{Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}"
    return Problem(UNEXPECTED, f"unexpected {kind.strip()} at {where}; the details are withheld, since they may be personal")


def fault(text, places, path=None):
    """The Problem that a message tells of, None if it is none of FAULTS."""
    for pattern, code, what, mend in FAULTS:
        said = re.search(f"[^\n]*({pattern})[^\n]*", text)
        if said:
            kind, path = _whose(said[0], places, path, is_full=code == UNEXPECTED)
            remedy = mend or REMEDIES.get(kind, "put a good copy in its place, or delete it if it can be made again")
            return Problem(code, f"{f'{kind} {path}'.strip()}: {what}; {remedy}" if path else f"{what}; {remedy}")
    return None


def _whose(text, places, path, *, is_full):
    """(which of the places, the path) that a message is about."""
    quoted_paths = [str(path)] if path else re.findall(r"""["']([^"'\n\\]*/[^"'\n\\]*)\\?["']""", text)
    for found in (Path(re.sub(r"/\.([^/]+)\.\d+\.partial$", r"/\1", written)) for written in quoted_paths):
        for kind, place in places.items():
            if place and found.absolute().is_relative_to(Path(place).absolute()):
                return kind, found
        if found.parent.exists():  # else it may be anything
            return "", found
    for kind, place in places.items():
        near = next((near for near in [Path(place), *Path(place).absolute().parents] if near.exists()), None) if place else None
        if near and (shutil.disk_usage(near).free < 1 << 16 if is_full else near.is_file()):
            return kind, place
    return "", None


def read_json(path):
    """The content of a JSON file of the state; raise Problem if it is not whole."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise Problem(WRONG, f"state {path}: {DAMAGED}; {REMEDIES['state']}") from None


@contextmanager
def written_whole(target):
    """A hidden name beside `target` to write to: it becomes the target, complete and durable, or is gone."""
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        yield partial
        sync(partial)
        os.replace(partial, target)
    finally:
        # DuckDB may have put a log beside it
        for left in [path for path in target.parent.iterdir() if path.name.startswith(partial.name)]:
            left.unlink()
    sync(target.parent)


def quoted(text):
    """A text, or a path, as SQL."""
    return "'" + str(text).replace("'", "''") + "'"


def rounded(amount, digits=0):
    """An amount for people, rounded half up as the marts do; formatting alone would round halves to even."""
    return f"{Decimal(amount).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP):,}"


def private():
    """From here on what this process and its children write is their owner's alone: files 0600, folders 0700."""
    os.umask(0o077)


def make_private(places):
    """Take from others every right in these files and folders, and all in them; returns the places where they had one."""
    opened = {}
    for place in filter(Path.exists, places):
        for path in [place.resolve(), *place.resolve().rglob("*")]:
            mode = path.lstat().st_mode
            if mode & 0o077 and not stat.S_ISLNK(mode):
                opened[place] = True
                try:
                    path.chmod(mode & 0o700)
                except OSError:
                    raise Problem(1, f"{path} is open to others and belongs to another user; make it private") from None
    return list(opened)


@contextmanager
def temporary_folder(prefix, folder=None):
    """A temporary folder that nobody else can read. Those that killed runs left in the same place go first.

    A run holds a lock on its own, which ends with it whatever happens; a folder without one is nobody's.
    """
    place = Path(folder or tempfile.gettempdir())
    for left in place.glob(f"{prefix}*"):
        if (handle := lock(left)) is not None:
            if os.fstat(handle).st_uid == os.getuid():
                shutil.rmtree(left, ignore_errors=True)
            os.close(handle)
    made = Path(tempfile.mkdtemp(prefix="new_", dir=place))
    handle = lock(made)
    made = made.rename(made.with_name(f"{prefix}{made.name.removeprefix('new_')}"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(handle)


def lock(folder):
    """Lock a folder: an open handle, None if somebody else has it or it is no folder."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def sync(path):
    """Wait until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
