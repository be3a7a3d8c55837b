"""What several scripts share."""

import os
from decimal import ROUND_HALF_UP, Decimal


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


def sync(path):
    """Wait until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
