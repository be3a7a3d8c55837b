"""scripts/daily.py: the whole morning as one command, on real steps."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import date, timedelta

import duckdb
import pytest

import drift
from support import PROJECT, script

YESTERDAY = date.today() - timedelta(1)


class Morning:
    """A shop, and everything that the command writes, in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.published = folder / "published/customer_lifecycle.duckdb"
        self.places = {
            "LIFECYCLE_RAW": folder / "raw",
            "LIFECYCLE_WAREHOUSE": folder / "warehouse/lifecycle.duckdb",
            "LIFECYCLE_STATE": folder / "state",
            "LIFECYCLE_PUBLISHED": self.published,
            "DBT_TARGET_PATH": folder / "target",
            "DBT_LOG_PATH": folder / "logs",
        }
        self.places["LIFECYCLE_WAREHOUSE"].parent.mkdir(parents=True)

    def live(self, *options):
        return script("daily.py", "--json", "--out", self.folder / "exports", *options, **self.places)

    def start(self):
        command = [sys.executable, PROJECT / "scripts/daily.py", "--json", "--out", self.folder / "exports"]
        environment = os.environ | {key: str(value) for key, value in self.places.items()}
        return subprocess.Popen(command, env=environment, cwd=PROJECT, stdout=subprocess.PIPE, text=True, start_new_session=True)

    def runs(self):
        with duckdb.connect() as connection:
            rows = connection.execute(
                f"select outcome, exit_code, failed_step from read_parquet('{self.folder}/state/runs/*.parquet') order by run"
            )
            return rows.fetchall()


def steps(done):
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["step"]: line for line in lines if "seconds" in line}, lines[-1]


@pytest.fixture(scope="module")
def morning(tmp_path_factory):
    """Two mornings of the same day."""
    morning = Morning(tmp_path_factory.mktemp("morning"))
    made = script("generate_demo_data.py", "--customers", 300, "--as-of", YESTERDAY, "--out", morning.places["LIFECYCLE_RAW"])
    assert made.returncode == 0, made.stderr
    morning.first, morning.second = morning.live(), morning.live()
    return morning


ALL = ["raw checks", "build", "audit", "publish", "record", "export", "purge", "report"]


def test_the_steps_follow_one_another_and_each_says_what_it_did(morning):
    for done in (morning.first, morning.second):
        said, end = steps(done)
        assert list(said) == ALL and done.returncode in (0, 5), done.stdout
        assert end == {"run": end["run"], "outcome": "withheld" if done.returncode else "done", "exit_code": done.returncode}
    first, second = steps(morning.first)[0], steps(morning.second)[0]
    assert first["audit"]["said"] == "no earlier run to compare with"
    assert second["audit"]["said"].startswith("like 2"), "nothing moved"
    assert second["record"]["said"].startswith("nothing recorded: the state knows")
    assert (morning.published.parent / "report.html").exists()


def test_every_run_is_a_row_of_the_log_and_of_the_mart(morning):
    assert [row[2] for row in morning.runs()] == [None, None]
    with duckdb.connect(str(morning.published), read_only=True) as marts:
        (row,) = marts.execute("select as_of_date, is_published, exported_rows > 0, passed_tests > 200, failed_tests, raw_rows, version from marts.runs").fetchall()
        rows = marts.execute("select raw_rows from marts.source_tables where source = 'shop' and table_name = 'orders'").fetchone()
        version = marts.execute("select version from marts.build_settings").fetchone()
    assert row[:5] == (YESTERDAY, True, True, True, 0), "the run before the build"
    assert json.loads(row[5])["shop.orders"] == rows[0] and row[6:] == version


def test_a_second_one_at_the_same_time_is_told_to_come_again(morning):
    with (morning.folder / "state/.daily.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = morning.live()
    assert done.returncode == 75 and done.stderr.startswith("daily: another run is writing to "), done.stderr
    assert len(done.stderr.splitlines()) == 1 and done.stdout == ""


@pytest.mark.parametrize(
    ("wrong", "expected", "sentence"),
    [
        ("cut", ("raw checks", 3, "failed"), "shop.orders"),
        ("misspelt", ("raw checks", 3, "failed"), "shop.order"),
        ("warehouse", ("build", 3, "failed"), "lifecycle.duckdb: it is cut off or damaged, or no such file at all; delete it and run `dbt build`"),
    ],
)
def test_what_is_wrong_ends_the_day_with_one_sentence_and_the_last_good_marts_stay(morning, wrong, expected, sentence, tmp_path):
    broken = Morning(tmp_path / "broken")
    for name in ("raw", "state", "published", "warehouse"):
        shutil.copytree(morning.folder / name, broken.folder / name, dirs_exist_ok=True)
    orders = next((broken.folder / "raw/shop").glob("orders.*"))
    if wrong == "cut":
        orders.write_bytes(orders.read_bytes()[: orders.stat().st_size // 3])
    elif wrong == "misspelt":
        orders.rename(orders.with_stem("ordres"))
    else:
        broken.places["LIFECYCLE_WAREHOUSE"].write_bytes(b"no database" * 1000)
    before = broken.published.read_bytes()
    done = broken.live()
    said, end = steps(done)
    step, code, outcome = expected
    assert (list(said)[-1], done.returncode, end["outcome"]) == expected, done.stdout
    assert sentence in said[step]["said"] and "\n" not in said[step]["said"], said[step]
    assert broken.published.read_bytes() == before and not (broken.folder / "exports").exists()
    assert broken.runs()[-1] == (outcome, code, step)


def test_a_report_that_cannot_be_written_is_a_warning(morning, tmp_path):
    """And an interrupted build leaves what was published, and the next run goes on."""
    page = morning.published.parent / "report.html"
    page.unlink()
    page.mkdir()
    before = morning.published.read_bytes()
    child = morning.start()
    for line in child.stdout:
        if json.loads(line).get("step") == "build":
            break
    time.sleep(5)
    os.killpg(child.pid, signal.SIGINT)
    child.communicate()
    assert child.returncode == 130 and morning.published.read_bytes() == before
    assert morning.runs()[-1] == ("interrupted", 130, "build")
    done = morning.live()
    said, _ = steps(done)
    page.rmdir()
    assert done.returncode in (0, 5) and list(said) == ALL
    assert said["report"]["said"].startswith("warning: no report; "), said["report"]


# --- drift ------------------------------------------------------------------------------------------------

BEFORE = {
    "run": "20261101T050000Z", "as_of_date": date(2026, 10, 31), "definitions": json.dumps({"models": "a", "macros": "b", "seeds": "c"}),
    "settings": json.dumps({"loyal_min_orders": 3}),
    "headlines": json.dumps({
        "rows shop.orders": 10000, "rate repeat_customer_rate": 0.5, "stage loyal": 1000, "segment champions": 400,
        "audience win_back": 200, "closed_month 2026-09": 50000,
    }),
}  # fmt: skip


def judged(changed=(), days=1, **now):
    numbers = json.loads(BEFORE["headlines"]) | {name.replace("__", " ").replace("_dot_", "."): value for name, value in now.items()}
    return [(alarm["level"], alarm["line"]) for alarm in drift.alarms(BEFORE, numbers, days, changed)]


@pytest.mark.parametrize(
    ("number", "planted", "legitimate", "odd"),
    [
        ("rows__shop_dot_orders", 7000, 9990, 9500),
        ("rows__shop_dot_orders", 20000, 11500, 16000),
        ("rate__repeat_customer_rate", 0.3, 0.51, 0.45),
        ("stage__loyal", 400, 1100, 1300),
        ("segment__champions", 0, 440, 550),
        ("audience__win_back", 5, 250, 320),
        ("closed_month__2026-09", 40000, 49600, 48000),
    ],
)
def test_a_planted_drift_stops_and_a_usual_change_is_quiet(number, planted, legitimate, odd):
    ((level, line),) = judged(**{number: planted})
    assert level == "stop" and "since 20261101T050000Z (as of 2026-10-31)" in line and "Look at: " in line
    assert judged(**{number: legitimate}) == []
    ((level, _),) = judged(**{number: odd})
    assert level == "warn"
    ((level, line),) = judged(changed=["variable loyal_min_orders: 3 → 4"], **{number: planted})
    assert level == "warn" and "since then changed: variable loyal_min_orders: 3 → 4" in line


def test_days_without_a_run_allow_more():
    assert judged(days=10, stage__loyal=1300) == []
    assert [level for level, _ in judged(days=2, stage__loyal=400)] == ["warn"]


def test_what_changed_is_named():
    now = {"models": "a", "macros": "B", "seeds": "c"}
    assert drift.changed_definitions(BEFORE, now, {"loyal_min_orders": 4}) == ["variable loyal_min_orders: 3 → 4", "macros"]
    assert drift.changed_definitions(BEFORE, json.loads(BEFORE["definitions"]), {"loyal_min_orders": 3}) == []
