"""What several scripts share."""

import os


class Problem(Exception):
    """A problem the user can mend, as one line without personal data; `code` is the exit code."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def quoted(text):
    """A text, or a path, as SQL."""
    return "'" + str(text).replace("'", "''") + "'"


def sync(path):
    """Wait until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
