"""scripts/daily.py: the whole morning as one command, on real steps."""

import fcntl
import hashlib
import json
import os
import random
import re
import shutil
import signal
import stat
import subprocess
import time
from collections import Counter
from contextlib import suppress
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest

import drift
from morning import YESTERDAY, Morning
from support import MARTS_WITH_ADDRESSES, mounted, script

LONG = os.environ.get("TEST_LONG")


def steps(done):
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["step"]: line for line in lines if "seconds" in line and "step" in line}, lines[-1]


@pytest.fixture(scope="module")
def morning(tmp_path_factory):
    """Two mornings of the same day, on a machine that hides nothing by itself."""
    morning = Morning(tmp_path_factory.mktemp("morning"))
    made = script("generate_demo_data.py", "--customers", 300, "--as-of", YESTERDAY, "--out", morning.places["LIFECYCLE_RAW"])
    assert made.returncode == 0, made.stderr
    before = os.umask(0)
    try:
        morning.first, morning.second = morning.live(), morning.live()
    finally:
        os.umask(before)
    return morning


ALL = ["raw checks", "build", "audit", "publish", "record", "export", "purge", "report"]


def test_the_steps_follow_one_another_and_each_says_what_it_did(morning):
    for done in (morning.first, morning.second):
        said, end = steps(done)
        assert list(said) == ALL and done.returncode in (0, 5), done.stdout
        assert end == {"run": end["run"], "outcome": "withheld" if done.returncode else "done", "exit_code": done.returncode}
    first, second = steps(morning.first)[0], steps(morning.second)[0]
    assert first["build"]["said"].endswith("; built twice: 2 erasures of the raw data are new") and "twice" not in second["build"]["said"]
    assert len(list((morning.folder / "state/erasures/receipts").glob("raw-*.html"))) == 2
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


def test_all_that_it_writes_is_its_owners_alone_whatever_the_umask(morning):
    names = ("warehouse", "state", "published", "exports", "target", "logs")
    found = [path for name in names for path in (morning.folder / name, *(morning.folder / name).rglob("*"))]
    kinds = {path.suffix for path in found if path.is_file()}
    assert {".duckdb", ".parquet", ".csv", ".json", ".html", ".log", ".lock", ".sql", ""} <= kinds, kinds
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in found}
    assert {str(path): oct(mode) for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)} == {}
    assert modes[morning.folder / "state/key"] == 0o600 and len(modes) > 500
    assert {path.name for path in morning.folder.iterdir()} == {*names, "raw"}, "all that was written was looked at"


def test_no_mart_but_the_listed_ones_holds_anybodys_address_name_or_user_id(morning):
    """Every cell of every published mart, against every value of the raw data: itself, a part of a text, or its plain hash."""
    manifest = json.loads((morning.folder / "target/manifest.json").read_text())
    values = set()
    for source in manifest["sources"].values():
        file = morning.places["LIFECYCLE_RAW"] / f"{source['meta'].get('path')}.parquet"
        for name, *_ in duckdb.execute(f"describe from '{file}'").fetchall() if file.exists() else ():
            if name in ("user_id", "customer_id") or source["columns"][name]["meta"]["pii"] == "direct":
                found = duckdb.execute(f"select distinct lower(trim({name})) from '{file}' where {name} is not null").fetchall()
                values |= {value for (value,) in found} - {""}
    assert len(values) > 1000
    values |= {re.sub(r"\D", "", value) for value in values if re.fullmatch(r"\+?[\d\s()/.-]{7,}", value)}
    emails = [value.encode() for value in values if "@" in value]
    values |= {hashlib.new(kind, email).hexdigest() for kind in ("md5", "sha1", "sha256") for email in emails}
    cells, hits, listed = 0, {}, 0
    with duckdb.connect(str(morning.published), read_only=True) as marts:
        tables = [name for (name,) in marts.execute("select table_name from duckdb_tables() order by 1").fetchall()]
        for mart in tables:
            for column, *_ in marts.execute(f"describe marts.{mart}").fetchall():
                texts = marts.execute(f'select distinct lower(cast("{column}" as varchar)) from marts.{mart}').fetchall()
                texts = [text for (text,) in texts if text]
                parts = {part for text in texts for part in (text.strip(), *re.split(r"[\s:,;|\"'\[\]{}()<>]+", text))}
                cells += len(texts)
                count = len(parts & values)
                if mart in MARTS_WITH_ADDRESSES:
                    listed += count
                elif count:
                    hits[f"{mart}.{column}"] = count
    assert hits == {} and len(tables) > 30 and cells > 5000
    assert listed > 500, "it finds what is there"


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
        ("warehouse", ("build", 3, "failed"), "cut off or damaged, or no such file at all; delete it and run `dbt build`"),
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


# --- kills, interruptions, others at work -------------------------------------------------------------------


def family(pid):
    """The process and all below it."""
    try:
        tasks = [(task / "children").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        tasks = []
    return [pid, *(below for children in tasks for child in children.split() for below in family(int(child)))]


def free(morning):
    """Wait until no process of a run holds the lock of the day."""
    with (morning.folder / "state/.daily.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_killed_at_any_moment_the_old_or_the_new_is_published_and_a_new_run_goes_on(morning, tmp_path):
    killed, dice = morning.copy(tmp_path / "killed"), random.Random(30)
    spoilt = killed.published.read_bytes()
    old, new = killed.marts(), morning.marts()
    assert old != new
    said, _ = steps(morning.second)
    usual = sum(step["seconds"] for step in said.values())
    kills, found = 0, []
    for number in range(90 if LONG else 9):
        child = killed.start()
        try:
            child.wait(usual * dice.uniform(0.02, 1.1))
        except subprocess.TimeoutExpired:
            victims = family(child.pid) if number % 3 else [child.pid]  # killed alone: its program holds the lock
            for pid in victims:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            kills += 1
            if len(victims) == 1 and killed.run("audit").returncode == 75:
                found.append("held")
        child.communicate()
        free(killed)
        found.append("old" if killed.marts() == old else "new")
        assert found[-1] == "old" or killed.marts() == new, number
        killed.check_state()
        if killed.marts() == new:
            killed.published.write_bytes(spoilt)
        if kills == (30 if LONG else 3):
            break
    print(kills, Counter(found))
    assert kills == (30 if LONG else 3)
    page = killed.published.parent / "report.html"
    page.unlink(missing_ok=True)
    page.mkdir()
    done = killed.live()
    said, _ = steps(done)
    assert done.returncode in (0, 5) and list(said) == ALL, done.stdout
    assert said["report"]["said"].startswith("warning: no report; "), "which ends no day"
    assert killed.marts() == new
    killed.check_state()


@pytest.mark.parametrize("step", ALL)
def test_interrupted_in_any_step_the_old_marts_stay(morning, step, tmp_path):
    stopped = morning.copy(tmp_path / "stopped")
    before = stopped.marts()
    for after in (0, 0.05, 0.5):
        child = stopped.start(step)
        child.stdout.readline()
        time.sleep(after)
        os.killpg(child.pid, signal.SIGINT)
        stdout, stderr = child.communicate()
        free(stopped)
        if child.returncode == 130:
            break
    assert "Traceback" not in stdout + stderr
    if child.returncode != 130:
        pytest.skip("the step was too quick to be interrupted")
    assert stopped.runs()[-1] == ("interrupted", 130, step)
    assert stopped.marts() == before
    stopped.check_state()


def test_of_two_at_once_one_works(morning):
    both = [morning.start("raw checks") for _ in range(2)]
    assert sorted(child.communicate() and child.returncode for child in both) in ([0, 75], [1, 75])


def test_a_reader_of_the_warehouse_makes_the_build_come_again(morning, tmp_path):
    read = morning.copy(tmp_path / "read")
    before = read.marts()
    with duckdb.connect(str(read.places["LIFECYCLE_WAREHOUSE"]), read_only=True):
        done = read.run("build")
    said, end = steps(done)
    assert (done.returncode, end["outcome"]) == (75, "failed"), done.stdout
    assert said["build"]["said"].endswith("lifecycle.duckdb: another process holds it; try again when it has ended")
    assert read.marts() == before


@pytest.mark.skipif(not LONG, reason="a whole build; make test-long")
def test_raw_files_that_are_replaced_while_they_are_read_are_told(morning, tmp_path):
    replaced = morning.copy(tmp_path / "replaced")
    orders = next((replaced.folder / "raw/shop").glob("orders.*"))
    child = replaced.start("build")
    child.stdout.readline()
    os.utime(orders, ns=(orders.stat().st_atime_ns, orders.stat().st_mtime_ns + 1000))
    stdout, _ = child.communicate()
    assert child.returncode == 75 and f"raw shop/{orders.name}: it was replaced while it was read; run again" in stdout, stdout


@pytest.mark.parametrize(
    ("where", "fault", "code"),
    [
        (("build", "warehouse"), "full", 1), (("build", "warehouse"), "read-only", 2),
        (("build", "target"), "read-only", 2), (("audit", "state"), "full", 1),
        (("publish", "published"), "full", 1), (("publish", "published"), "read-only", 2), (("record", "state"), "full", 1),
        (("export", "exports"), "full", 1), (("export", "exports"), "read-only", 2), (("export", "state"), "full", 1),
        (("purge", "state"), "full", 1), (("report", "published"), "full", 0), (("report", "published"), "read-only", 0),
        (("audit", "state"), "read-only", 2),
        *[
            (("raw checks", "state"), "full", 1), (("build", "target"), "full", 1),
            *(((step, "state"), "read-only", 2) for step in ALL),
        ] * bool(LONG),
    ],
)  # fmt: skip
def test_a_full_or_read_only_disk_ends_any_step_with_one_sentence(morning, where, fault, code, tmp_path):
    step, place = where
    day = morning.copy(tmp_path / "day")
    if step == "report":
        (day.published.parent / "report.html").unlink()
    elif step == "export":
        shutil.copy(morning.published, day.published)
    elif place == "target":  # what is written anew has room enough
        shutil.rmtree(day.folder / "target")
        (day.folder / "target").mkdir()
    before = day.marts()
    with mounted(day.folder / place, fault):
        done = day.run(step)
        assert day.marts() == before, "the last good marts stay"
        hidden = [path for path in (day.folder / place).rglob(".*") if path.is_file() and path.suffix != ".lock"]
        assert not hidden, "nothing half-written"
    said = "the disk is full" if fault == "full" else "the file system is read-only"
    assert done.returncode == code, (done.stdout, done.stderr)
    assert said in done.stdout + done.stderr and str(day.folder / place) in done.stdout + done.stderr, (done.stdout, done.stderr)
    assert "Traceback" not in done.stdout + done.stderr and done.stderr.count("\n") <= 1
    if place != "state":
        assert day.runs()[-1][1:] == (code, step if code else None)


CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(clock, now);
    FILE *file = clock == CLOCK_REALTIME ? fopen(getenv("CLOCK_AHEAD"), "r") : NULL;
    long ahead = 0;
    if (file && fscanf(file, "%ld", &ahead) == 1) now->tv_sec += ahead;
    if (file) fclose(file);
    return code;
}
"""


@pytest.mark.skipif(not LONG, reason="a minute; make test-long")
@pytest.mark.parametrize("seconds", [0, 3, 12])
def test_midnight_in_a_run_changes_no_day(tmp_path, seconds):
    """The raw data have rows of the running day: a build after midnight is of that day, one before it of the day before."""
    if not shutil.which("cc"):
        pytest.skip("no C compiler here, with which to set a clock ahead")
    (tmp_path / "clock.c").write_text(CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "clock.so", tmp_path / "clock.c", "-ldl"], check=True)
    ahead = tmp_path / "ahead"
    ahead.write_text("0")
    night = Morning(tmp_path / "night")
    words = ("--customers", 300, "--as-of", YESTERDAY + timedelta(1), "--out", night.places["LIFECYCLE_RAW"])
    made = script("generate_demo_data.py", *words)
    assert made.returncode == 0, made.stderr
    child = night.start(LD_PRELOAD=tmp_path / "clock.so", CLOCK_AHEAD=ahead)
    for line in child.stdout:
        if json.loads(line).get("step") == "build":
            break
    time.sleep(seconds)
    now = datetime.now(ZoneInfo("Europe/Berlin"))
    midnight = datetime.combine(now.date() + timedelta(1), datetime.min.time(), now.tzinfo)
    ahead.write_text(str(int((midnight - now).total_seconds()) + 30))
    child.communicate()
    assert child.returncode in (0, 5)
    with duckdb.connect(str(night.published), read_only=True) as marts:
        (day,) = marts.execute("select as_of_date from marts.build_settings").fetchone()
        assert marts.execute("select max(metric_date) from marts.lifecycle_metrics").fetchone() == (day,)
    with duckdb.connect() as con:
        assert con.execute(f"select as_of_date from '{night.folder}/state/runs/*.parquet'").fetchall() == [(day,)]
    assert [path.name for path in (night.folder / "state/audience_events").glob("*.parquet")] == [f"{day}.parquet"]
    (manifest,) = (night.folder / "exports").glob("*/manifest.json")
    assert json.loads(manifest.read_text())["as_of_date"] == str(day)
    print(seconds, day)


# --- who said no is told though the day stops ---------------------------------------------------------------


@pytest.fixture(scope="module")
def stopped(morning, tmp_path_factory):
    """A day that drift stops, with somebody who said no since what was exported and acknowledged."""
    day = morning.copy(tmp_path_factory.mktemp("stopped"))
    (run,) = [path.name for path in (day.folder / "exports").glob("2*")][-1:]
    acked = script("export_audiences.py", "ack", run, "--out", day.folder / "exports", **day.places)
    assert acked.returncode == 0, acked.stderr
    with duckdb.connect(str(morning.published), read_only=True) as marts:
        (day.person, day.email), = marts.execute("""select person_id, email from marts.customers join marts.audience_members using (person_id)
            where customers.can_email and not is_holdout order by person_id limit 1""").fetchall()
    raw = next((day.folder / "raw/esp").glob("suppressions.*"))
    (log,) = sorted((day.folder / "state/runs").glob("*.parquet"))[1:2]  # of the second morning, the last that published
    with duckdb.connect() as con:
        con.execute(f"create table raw as from '{raw}'")
        con.execute("""insert into raw by name select ? as email, 'email' as channel, 'unsubscribed' as reason,
            max(suppressed_at) as suppressed_at from raw""", [day.email])  # fmt: skip
        con.execute(f"copy raw to '{raw}'")
        more = """replace(headlines, '"rows shop.orders": ', '"rows shop.orders": 9')"""
        con.execute(f"create table log as select * replace ({more} as headlines) from '{log}'")
        con.execute(f"copy log to '{log}'")
    day.before = day.published.read_bytes()
    day.done = day.run("build,audit")
    return day


def test_who_said_no_is_told_though_the_day_stops(stopped):
    said, end = steps(stopped.done)
    assert (said["audit"]["code"], stopped.done.returncode, end["outcome"]) == (4, 4, "blocked"), stopped.done.stdout
    lines = [json.loads(line) for line in stopped.done.stdout.splitlines()]
    (told,) = [line for line in lines if line.get("besides") == "who said no"]
    run = re.fullmatch(r"published: (\d+) suppressions, (\d+) removals in (\w+)", told["said"])
    assert told["code"] == 0 and run and min(int(run[1]), int(run[2])) >= 1, told
    folder = stopped.folder / "exports" / run[3]
    written = {path.name: path.read_text() for path in folder.rglob("*.csv")}
    assert any(stopped.email in text for name, text in written.items() if name == "suppress.csv")
    assert any(stopped.email in text for name, text in written.items() if ".removed" in name)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert {record["mode"] for record in manifest["deliveries"].values()} == {"noes"}
    changes = [set(node["changes"]) for record in manifest["deliveries"].values() for node in record["audiences"].values()]
    assert set().union(*changes) == {"removed"}, "nobody is added"
    assert stopped.published.read_bytes() == stopped.before, "the last good marts stay"
    with duckdb.connect() as con:
        columns = "outcome, is_published, exported_run, exported_rows, steps"
        row = con.execute(f"select {columns} from '{stopped.folder}/state/runs/*.parquet' order by run desc limit 1").fetchone()
    assert row[:4] == ("blocked", None, run[3], int(run[1]) + int(run[2]))
    assert json.loads(row[4])["who said no"]["said"] == told["said"]
    assert stopped.email not in stopped.done.stdout + stopped.done.stderr
    assert "published: " in stopped.run("audit").stdout, "until it is acknowledged"


def test_what_was_published_of_noes_is_no_list_of_audiences(stopped):
    noes = stopped.published.with_name("customer_lifecycle_noes.duckdb")
    for source, option, words in ((noes, (), "give --noes-only"), (stopped.published, ("--noes-only",), "publish_noes.py")):
        done = script("export_audiences.py", "run", "--from", source, "--out", stopped.folder / "exports", *option, **stopped.places)
        assert done.returncode == 3 and words in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("node", "status", "code"),
    [
        ("model.customer_lifecycle.customers", "error", 0), ("test.customer_lifecycle.cohort_value_reconciles", "fail", 0),
        ("model.customer_lifecycle.customer_channels", "error", 3), ("model.customer_lifecycle.suppression_list", "skipped", 3),
        ("test.customer_lifecycle.nobody_who_said_no_can_be_contacted", "fail", 3),
        ("test.customer_lifecycle.no_no_in_the_raw_data_is_lost", "skipped", 3),
        ("model.customer_lifecycle.int_profiles", "error", 3),
    ],
)  # fmt: skip
def test_noes_are_published_of_a_red_build_only_if_consent_is_green(stopped, tmp_path, node, status, code):
    target = tmp_path / "target"
    target.mkdir()
    shutil.copy(stopped.folder / "target/manifest.json", target)
    results = json.loads((stopped.folder / "target/run_results.json").read_text())
    (result,) = [result for result in results["results"] if result["unique_id"].startswith(node)]
    result["status"] = status
    (target / "run_results.json").write_text(json.dumps(results))
    published = tmp_path / "customer_lifecycle.duckdb"
    warehouse = stopped.places["LIFECYCLE_WAREHOUSE"]
    done = script("publish_noes.py", "--target", target, "--published", published, "--warehouse", warehouse)
    assert done.returncode == code and len((done.stderr or done.stdout).splitlines()) == 1, done.stderr
    assert published.with_name("customer_lifecycle_noes.duckdb").exists() is (code == 0)


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
