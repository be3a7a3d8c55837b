"""The keyed hash of addresses: HMAC-SHA-256 with a key that only this installation has.

It tells whether two addresses are the same after the addresses themselves are gone; without the key nobody can try
out guesses. The key is the file <state>/key, made by the first run that needs it, or a link to where it lies (variable
key_file). <state>/key.check, made with it, tells that hashes were made and by which key: without it a lost key would pass
for one that was never there.

Errors: Problem 2 when the key is missing though it was there, or is another one.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from common import Problem, sync

BLOCK = 64  # bytes that SHA-256 takes at a time


def read_key(state, path=None):
    """The key as bytes, of the file `path` (default <state>/key); made when there is none and never was one.

    <state>/key then leads to it, so that whatever knows the state finds it.
    """
    state = Path(state)
    usual, check = state / "key", state / "key.check"
    path = Path(path or usual)
    if not path.exists():
        if check.exists():
            raise Problem(2, f"{path}: the key of the hashes in {state} is missing; restore the file from a backup")
        _create(path, secrets.token_hex(32))
    text = path.read_text(encoding="ascii", errors="replace").strip()
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) < 32:
        raise Problem(2, f"{path}: this is no key; it holds 64 hexadecimal digits")
    mark = hmac.digest(key, b"key.check", "sha256").hex()[:16]
    if not check.exists():
        _create(check, mark)
    if check.read_text(encoding="ascii", errors="replace").strip() != mark:
        raise Problem(2, f"{path}: this is another key than that of the hashes in {state}; restore the file from a backup")
    if path != usual and not usual.exists():
        link = state / f".key.{secrets.token_hex(4)}"
        link.symlink_to(path.absolute())
        os.replace(link, usual)
    return key


def _create(path, text):
    """Make a private file, complete or not at all; another process may have made it first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with open(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
        file.write(text + "\n")
    sync(part)
    try:
        os.link(part, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(part)
    sync(path.parent)


def use_key(con, key):
    """Let the expressions of `hashed_sha` run on a DuckDB connection."""
    key = (hashlib.sha256(key).digest() if len(key) > BLOCK else key).ljust(BLOCK, b"\0")
    for name, pad in (("hmac_inner", 0x36), ("hmac_outer", 0x5C)):
        con.execute(f"set variable {name} = unhex('{bytes(byte ^ pad for byte in key).hex()}')")


def hashed_sha(sha):
    """The DuckDB expression of the keyed hash, as hexadecimal text, of a text expression (the SHA-256 of a key); null of null."""
    inner = f"unhex(sha256(getvariable('hmac_inner') || encode({sha})))"
    return f"sha256(getvariable('hmac_outer') || {inner})"


def hmac_sql(sha):
    """The same as 32 bytes."""
    return f"unhex({hashed_sha(sha)})"


def hashed(key):
    """The same of a key itself, as hexadecimal text: what the marts and the state have of erased ids and addresses."""
    return hashed_sha(f"sha256({key})")
