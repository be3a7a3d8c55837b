"""The keyed hash: the same as Python's own HMAC, private, and never silently with another key."""

import hashlib
import hmac
import stat
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pytest

from common import Problem
from keyed_hash import hmac_sql, read_key, use_key

TEXTS = ["", "ann@example.com", "+491701234567", "zoé@müller.example", "정", "x" * 1000, "a\x00b"]


@pytest.mark.parametrize("key", [b"k" * 32, bytes(range(64)), b"longer than a block" * 9])
def test_the_sql_is_the_hmac_of_python(key):
    with duckdb.connect() as con:
        use_key(con, key)
        found = con.execute(f"select {hmac_sql('t')} from (select unnest(?::varchar[]) as t)", [TEXTS]).fetchall()
        assert con.execute(f"select {hmac_sql('null::varchar')}").fetchone() == (None,)
    assert [row[0] for row in found] == [hmac.digest(key, text.encode(), hashlib.sha256) for text in TEXTS]


def test_the_key_is_made_once_private_and_stays(tmp_path):
    state = tmp_path / "of" / "mine" / "state"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: read_key(state), range(32)))
    assert len(keys) == 1 and len(keys.pop()) == 32
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.iterdir()} == {"key": 0o600, "key.check": 0o600}


def test_a_lost_key_is_not_replaced(tmp_path):
    read_key(tmp_path)
    (tmp_path / "key").unlink()
    with pytest.raises(Problem, match="the hashes in") as error:
        read_key(tmp_path)
    assert error.value.code == 2 and not (tmp_path / "key").exists()


@pytest.mark.parametrize(("text", "word"), [("00" * 32, "another key"), ("hello", "no key"), ("", "no key"), ("\udcff", "no key")])
def test_another_key_is_not_taken(tmp_path, text, word):
    read_key(tmp_path)
    (tmp_path / "key").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(Problem, match=word) as error:
        read_key(tmp_path)
    assert error.value.code == 2


def test_the_key_may_lie_elsewhere(tmp_path):
    vault = tmp_path / "vault" / "key"
    key = read_key(tmp_path / "state", vault)
    assert read_key(tmp_path / "state", vault) == read_key(tmp_path / "state") == key, "the state leads to it"
    assert (tmp_path / "state" / "key").readlink() == vault
    moved = vault.rename(tmp_path / "moved")
    with pytest.raises(Problem, match="is missing"):
        read_key(tmp_path / "state")
    assert read_key(tmp_path / "state", moved) == read_key(tmp_path / "state") == key
