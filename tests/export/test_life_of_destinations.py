"""A life of destinations: the program against vendors that import late, twice, in part or never (life.py has the rules).

Twelve days of one life; with TEST_LONG=1 sixty days, ten lives of each scenario, and spoilt copies of the program, each without
one of the rules of the ledger, which must be found out.
"""

import os
import shutil
import subprocess
import sys

import pytest

from life import SCENARIOS
from shop import ROOT

LONG = bool(os.environ.get("TEST_LONG"))


def live(scenario, seed, days, program=ROOT):
    """The finished process of one life with the program of a folder."""
    return subprocess.run(
        [sys.executable, ROOT / "tests" / "export" / "life.py", scenario, str(seed), str(days)], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": f"{program / 'scripts'}{os.pathsep}{ROOT / 'tests' / 'export'}"})


LIVES = [(scenario, seed) for scenario in SCENARIOS for seed in range(10)] if LONG else [("usual", 1)]


@pytest.mark.parametrize(("scenario", "seed"), LIVES)
def test_a_life(scenario, seed):
    done = live(scenario, seed, 60 if LONG else 12)
    assert done.returncode == 0, done.stdout + done.stderr


SPOILT = {  # rule: (file, what stands there, what is put in its place, scenario that must find out)
    "R3, R5: never acknowledged is not there": (
        "ledger", "max(died) filter (where sign = 'plus') >", "coalesce(max(acked) filter (where sign = 'plus'), -2) >", "apart"),
    "R4: what is acknowledged may be imported again": ("state", "if old.died is None and old.seq <= entry.seq:", "if False:", "apart"),
    "R5: any acknowledged removal clears": (
        "ledger", "max(died) filter (where sign = 'plus') >", "max(seq) filter (where sign = 'plus') >", "apart"),
    "R6: a published removal leaves it surely there": (
        "ledger", "coalesce(max(died) filter (where sign = 'minus'), -1)", "coalesce(max(acked) filter (where sign = 'minus'), -1)", "apart"),
    "R7: what may be there is not removed": (
        "ledger", "as select header, value, shape, rank, is_first from held where may_be", "as select header, value, shape, rank, is_first from held where surely",
        "never_acked"),
    "R9: who else had a key does not count": (
        "run", 'if not self.con.execute("select 1 from held_people limit 1").fetchone():', "if True:", "usual"),
    "R10: nothing is lifted": ("run", "elif count:", "elif False:", "apart"),
    "R11: other shapes stay": ("run", "for key in [now_shape[\"id\"]] * (always and now_shape[\"id\"] not in shapes) + shapes:",
                               "for key in [now_shape[\"id\"]]:", "mapping"),
    "R4: refused rows count as taken": ("state", "query = f\"select distinct", "query = f\"select distinct on (run)", "refused"),
    "dropped audiences stay": ("run", "if audience not in audiences:", "if False:", "dropped"),
    "a renamed delivery is forgotten": ("../export_audiences", "if args.destination:\n        return []", "if True:\n        return []", "renamed"),
    "R13: a lost state is not read back": ("state", "if manifest and manifest[\"run\"] not in known and manifest.get(\"deliveries\"):", "if False:", "state_lost"),
    "silence is suppressed": ("rows", "else {own} end as said", "else coalesce({own}, ch.blocked_reason) end as said", "silence"),
    "R9: a no spreads further than one step": ("rows", 'if has_column(con, "customer_channels", "own_no_reason"):', "if False:", "usual"),
}


@pytest.mark.skipif(not LONG, reason="lives of spoilt programs take minutes each: make test-long")
@pytest.mark.parametrize("rule", SPOILT)
def test_a_program_without_a_rule_is_found_out(tmp_path, rule):
    name, stands, instead, scenario = SPOILT[rule]
    for folder in ("scripts", "macros"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "destinations.yml", tmp_path / "destinations.yml")
    path = tmp_path / "scripts" / "audience_export" / f"{name}.py"
    text = path.read_text(encoding="utf-8")
    assert text.count(stands) == 1
    path.write_text(text.replace(stands, instead), encoding="utf-8")
    lives = (live(scenario, seed, 12, tmp_path) for seed in range(4))
    assert any(done.stdout.startswith("day ") for done in lives), "a program that stops is not found out"
