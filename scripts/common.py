"""What several scripts share."""

import fcntl
import os
import shutil
import stat
import tempfile
from contextlib import contextmanager
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path


class Problem(Exception):
    """A problem the user can mend, as one line without personal data; `code` is the exit code."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


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
