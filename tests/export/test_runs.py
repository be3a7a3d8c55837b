"""Modes, guards, exit codes, atomic publishing, privacy of what is printed, purge."""

import hashlib
import json
import os
import random
import resource
import shutil
import signal
import stat
import subprocess
import sys
import time
from datetime import date

import duckdb
import pytest

import export_audiences
from published import person, sha256, suppression
from shop import EVERY, RUN

LATER, RUN2 = "2026-11-22T07:00:00", "20261122T070000Z"
LATEST, RUN3 = "2026-11-22T08:00:00", "20261122T080000Z"
CSV = {"csv": {"channel": "email", "audiences": ["at_risk"], "fields": ["first_name"]}}


def crowd(count, **more):
    return [person(f"p{i:03}", f"person{i}@example.com", **more) for i in range(count)]


def lines(path):
    return path.read_text("utf-8").splitlines()[1:]


# ---- modes ----

@pytest.mark.parametrize("destination", ["csv", "jsonl", "parquet", "braze_cdi", "meta", "brevo"])
def test_delta_is_exactly_the_difference(shop, destination):
    """full or baseline, ack, change, delta, ack, delta: added, changed, removed; then nothing changed."""
    channel = "ads" if destination == "meta" else "email"
    shop.configure({destination: {"channel": channel, "audiences": ["at_risk"], "fields": ["first_name", "last_order_date"]
                                  if destination != "meta" else ["first_name", "net_revenue"], "mode": "delta"}})
    shop.publish(crowd(10), [])
    shop(code=0)
    assert shop.json(code=0, now=LATER)["manifest"]["deliveries"][destination]["audiences"]["at_risk"]["changes"] == {
        "added": 10, "changed": 0, "removed": 0}, "without an ack everybody is still to be added"
    shop("ack", RUN2, code=0)
    people = crowd(12)[2:]
    people[0]["row"]["first_name"] = None
    people[1]["row"]["email"] = "moved@example.com"
    shop.publish(people, [])
    result = shop.json(code=0, now=LATEST)
    assert result["manifest"]["deliveries"][destination]["audiences"]["at_risk"]["changes"] == {"added": 3, "changed": 1, "removed": 3}
    if destination in ("csv", "brevo"):
        folder = shop.file(destination, RUN3)
        assert lines(folder / "at_risk.removed.csv") == ["person0@example.com", "person1@example.com", "person3@example.com"]
        assert {line.replace(";", ",").split(",")[0] for line in lines(folder / "at_risk.added.csv")} == {
            "moved@example.com", "person10@example.com", "person11@example.com"}
        assert len(lines(folder / "at_risk.changed.csv")) == 1
    shop("ack", RUN3, code=0)
    before = shop.tree()
    done = shop(code=0, now="2026-11-22T09:00:00")
    assert "nothing changed" in done.stdout and shop.tree() == before
    shop("ack", RUN3, code=0)
    assert shop.tree() == before, "acknowledging twice is once"


def test_removed_stays_due_until_acknowledged(shop):
    shop.configure({"csv": {**CSV["csv"], "mode": "delta"}})
    shop.publish(crowd(5), [])
    shop(code=0)
    shop("ack", RUN, code=0)
    shop.publish(crowd(4), [])
    shop(code=0, now=LATER)
    shop(code=0, now=LATEST)
    for run in (RUN2, RUN3):
        assert lines(shop.file("csv/at_risk.removed.csv", run)) == ["person4@example.com"]
    shop("ack", RUN3, code=0)
    late = shop("ack", RUN2, code=2)
    assert "newer" in late.stderr


@pytest.mark.parametrize("change", ["fields", "salt", "state"])
def test_rebaseline_adds_all_and_withholds_removals(shop, change):
    given = {"destination": "hashed_csv", "channel": "email", "audiences": ["at_risk"], "fields": ["stage"], "mode": "delta", "salt_env": "TEST_SALT"}
    shop.configure({"partner": given})
    shop.publish(crowd(6), [])
    shop(code=0, env={"TEST_SALT": "one"})
    shop("ack", RUN, code=0)
    shop.publish(crowd(5), [])
    if change == "fields":
        shop.configure({"partner": {**given, "fields": ["stage", "language"]}})
    if change == "state":
        shutil.rmtree(shop.folder / "state")
    done = shop.json(code=0, now=LATER, env={"TEST_SALT": "two" if change == "salt" else "one"})
    node = done["manifest"]["deliveries"]["partner"]["audiences"]["at_risk"]
    assert node["changes"] == {"added": 5, "changed": 0, "removed": 0} and node["baseline"] is None
    assert bool(done["notes"]) == (change != "state")


def test_full_after_ack_can_be_the_next_baseline(shop):
    shop.configure(CSV)
    shop.publish(crowd(5), [])
    shop(code=0)
    shop("ack", RUN, code=0)
    shop.publish(crowd(6)[1:], [])
    node = shop.json("--mode", "delta", code=0, now=LATER)["manifest"]["deliveries"]["csv"]["audiences"]["at_risk"]
    assert node["changes"] == {"added": 1, "changed": 0, "removed": 1}


def test_cloud_data_ingestion_stamps_only_changed_rows(shop):
    shop.configure({"braze_cdi": {"channel": "email", "audiences": ["at_risk"], "fields": ["first_name"]}})
    shop.publish(crowd(3), [])
    shop(code=0)
    shop("ack", RUN, code=0)
    people = crowd(3)
    people[2]["row"]["first_name"] = "New"
    shop.publish(people[1:], [])
    shop(code=0, now=LATER)
    assert lines(shop.file("braze_cdi/at_risk.changed.csv", RUN2)) == [
        'person2@example.com,2026-11-22T07:00:00Z,"{""email_subscribe"":""opted_in"",""first_name"":""New"",""in_at_risk"":true}"']
    assert lines(shop.file("braze_cdi/at_risk.removed.csv", RUN2)) == [
        'person0@example.com,2026-11-22T07:00:00Z,"{""in_at_risk"":false}"']
    assert "clock" in shop(code=1, now="2026-11-22T05:00:00").stderr


def test_erasure_reaches_whom_was_given_the_address(shop):
    """After erasure the marts hold only the hash; the destination that knows the address is told it, no other is."""
    shop.configure({**CSV, "other": {**CSV["csv"], "destination": "csv"}})
    shop.publish(crowd(4), [])
    shop("--destination", "csv", code=0)
    shop("ack", RUN, code=0)
    people = crowd(4)
    people[3] = person("p003", None, stage="erased", blocked=dict.fromkeys(("email", "sms", "push", "ads"), "erased"))
    shop.publish(people, [suppression("email", "email", None, "erased", sha256("person3@example.com"))])
    shop(code=0, now=LATER)
    assert lines(shop.file("csv/suppress.csv", RUN2)) == ["person3@example.com,erased"]
    assert lines(shop.file("other/suppress.csv", RUN2)) == []
    assert "person3@" not in shop.file("csv/at_risk.csv", RUN2).read_text()


def test_empty_audience_is_a_header_never_yesterdays_file(shop):
    shop.configure(CSV, guards={})
    shop.publish(crowd(3), [])
    shop(code=0)
    shop.publish(crowd(3, audiences=("champions",)), [])
    assert "0 people" in shop(code=4, now=LATER).stderr
    shop("--override", "empty=off", "--override", "shrank=off", "--reason", "sale is over", code=0, now=LATER)
    assert shop.file("csv/at_risk.csv", RUN2).read_text() == "email,first_name\n"


def test_cap_keeps_the_same_people(shop):
    shop.configure({"csv": {**CSV["csv"], "cap": 4}})
    shop.publish(crowd(9), [])
    node = shop.json(code=0)["manifest"]["deliveries"]["csv"]["audiences"]["at_risk"]
    assert node["reasons"] == {"over_cap": 5} and node["waterfall"]["not_over_cap"] == 4
    first = set(lines(shop.file("csv/at_risk.csv")))
    shop.publish(crowd(12), [])
    shop(code=0, now=LATER)
    assert len(first & set(lines(shop.file("csv/at_risk.csv", RUN2)))) >= 2 and len(first) == 4


# ---- guards ----

@pytest.mark.parametrize(("guard", "before", "after", "more"), [
    ("shrank", 100, 79, {}), ("grew", 100, 151, {}), ("empty", 100, 0, {}),
    ("suppression_shrank", 100, 100, {"listed": 1}), ("source_age_hours", 100, 100, {"days": 2}),
    ("quarantined", 100, 100, {"formulas": 3}), ("removed", 100, 100, {"moved": 11})])
def test_guard_blocks_and_override_is_recorded(shop, guard, before, after, more):
    delta = {"csv": {**CSV["csv"], "mode": "delta"}}
    shop.configure(delta, guards={})
    listed = [suppression("email", "email", f"x{i}@example.com") for i in range(2)]
    shop.publish(crowd(before), listed)
    shop(code=0)
    shop("ack", RUN, code=0)
    people = crowd(after) if after else crowd(3, consent=())
    people[-1]["row"]["first_name"] = "New"
    for i in range(more.get("formulas", 0)):
        people[i]["row"]["first_name"] = "=1"
    for i in range(more.get("moved", 0)):
        people[i]["row"]["email"] = f"moved{i}@example.com"
    tree = shop.tree()
    now = f"2026-11-{22 + more.get('days', 0)}T08:01:00"
    shop.publish(people, listed[:more.get("listed", 2)])
    done = shop(code=4, now=now)
    assert f"guard '{guard}'" in done.stderr and shop.tree() == tree
    assert shop("--dry-run", code=4, now=now).stderr == done.stderr
    words = ["--override", f"{guard}=off"] + (["--override", "shrank=off", "--override", "removed=off"] if not after or guard == "shrank" else [])
    shop(*words, code=2, now=now)
    result = shop.json(*words, "--reason", "season ended", code=5 if guard == "quarantined" else 0, now=now)
    assert json.loads((shop.folder / result["folder"] / "manifest.json").read_text())["overrides"]["reason"] == "season ended"


def test_guards_do_not_trip_at_their_threshold(shop):
    shop.configure(CSV, guards={})
    shop.publish(crowd(100), [])
    shop(code=0)
    shop.publish(crowd(80), [])
    shop(code=0, now=LATER)
    shop.publish(crowd(120), [])
    shop(code=0, now=LATEST)


def test_one_guard_blocks_the_whole_run(shop):
    shop.configure({"a": {**CSV["csv"], "destination": "csv"}, "b": {**CSV["csv"], "destination": "csv", "guards": {"empty": 1000}}})
    shop(code=4)
    assert not list((shop.folder / "exports").iterdir())
    shop("--destination", "a", code=5)


# ---- exit codes and messages ----

USAGE = {
    "unknown key": ({"csv": {**CSV["csv"], "audience": ["at_risk"]}}, "did you mean 'audiences'?"),
    "unknown audience": ({"csv": {**CSV["csv"], "audiences": ["nobody"]}}, "no audience 'nobody'"),
    "unknown field": ({"csv": {**CSV["csv"], "fields": ["shoe_size"]}}, "no column 'shoe_size'"),
    "unknown destination": ({"mailcimp": {**CSV["csv"]}}, "no destination 'mailcimp'"),
    "channel": ({"mailchimp": {"channel": "sms", "audiences": "all"}}, "channel"),
    "field not taken": ({"meta": {"channel": "ads", "audiences": "all", "fields": ["language"]}}, "language"),
    "no attest": ({"google": {"channel": "ads", "audiences": "all"}}, "attest"),
    "salt for meta": ({"meta": {"channel": "ads", "audiences": "all", "salt_env": "HOME"}}, "unsalted"),
    "salt unset": ({"hashed_csv": {"channel": "ads", "audiences": "all", "salt_env": "NOT_SET_ANYWHERE"}}, "NOT_SET_ANYWHERE"),
    "mode": ({"braze_cdi": {"channel": "email", "audiences": "all", "mode": "full"}}, "takes delta"),
    "needs": ({"braze": {"channel": "sms", "audiences": "all"}}, "subscription_group_id"),
    "bad guard": ({"csv": {**CSV["csv"], "guards": {"shrank": "much"}}}, "shrank"),
    "two names": ({"csv": {**CSV["csv"], "fields": ["first_name", {"FIRST_NAME": "last_name"}]}}, "two columns"),
    "fixed headers": ({"google": {**EVERY["google"], "constants": {"City": "Rome"}}}, "must be among"),
    "renamed where headers are given": ({"meta": {**EVERY["meta"], "fields": [{"fn": "language"}]}}, "takes no 'language'"),
    "cap": ({"csv": {**CSV["csv"], "cap": 0}}, "cap"),
}


@pytest.mark.parametrize("case", USAGE)
def test_config_errors_are_one_line_with_code_2(shop, case):
    deliveries, word = USAGE[case]
    shop.configure(deliveries, guards={})
    done = shop(code=2)
    assert word in done.stderr and done.stderr.count("\n") == 1 and not done.stdout
    assert not list((shop.folder / "exports").glob("*")) if (shop.folder / "exports").exists() else True


@pytest.mark.parametrize("words", [["--config", "none.yml"], ["--destination", "none"], ["--override", "shrank=off"], ["ack", "none"],
                                   ["--override", "shrnk=1", "--reason", "x"], ["--mode", "half"], ["ack", "20200101T000000Z"]])
def test_usage_errors(shop, words):
    assert shop(*words, code=2).stderr.strip()


def test_broken_yaml_names_the_line(shop):
    (shop.folder / "destinations.yml").write_text("settings:\n  guards: [\n")
    assert "line" in shop(code=2).stderr


BROKEN = {
    "no table": "drop table marts.customer_channels", "no column": "alter table marts.customers drop column email",
    "type": "alter table marts.customers alter can_email type varchar", "as of": "delete from marts.lifecycle_metrics",
    "null person": "update marts.audience_members set person_id = null where person_id = 'p01'",
    "address type": "update marts.suppression_list set address_type = 'pigeon'",
    "hash": "update marts.suppression_list set address_hash = 'x' where address is null",
    "stranger": "insert into marts.audience_members (audience, person_id) values ('at_risk', 'nobody')",
    "doubled customer": "insert into marts.customers from marts.customers where person_id = 'p01'",
    "doubled channel": "insert into marts.customer_channels from marts.customer_channels where person_id = 'p01'",
    "audience name": "update marts.audience_members set audience = '../x' where audience = 'champions'",
}


@pytest.mark.parametrize("case", BROKEN)
def test_marts_that_break_the_contract_give_3(shop, case):
    with duckdb.connect(str(shop.source)) as con:
        con.execute(BROKEN[case])
    done = shop(code=3)
    assert done.stderr.count("\n") == 1 and "@" not in done.stderr
    assert not list((shop.folder / "exports").glob("[!.]*"))


def test_missing_or_foreign_source_gives_3(shop):
    assert "publish" in shop("--from", "none.duckdb", code=3).stderr
    (shop.folder / "no.duckdb").write_text("this is text" * 1000)
    shop("--from", "no.duckdb", code=3)


def test_doubled_members_are_refused(shop):
    """One of the rows may be held out: which one counts is not for the exporter to guess."""
    with duckdb.connect(str(shop.source)) as con:
        con.execute("insert into marts.audience_members from marts.audience_members where person_id = 'p01'")
    assert "a person twice in at_risk" in shop(code=3).stderr


def test_two_audiences_never_share_a_file(shop):
    shop.configure({"csv": {"channel": "email", "audiences": "all"}})
    shop.publish([person("p1", "ann@example.com", audiences=("suppress",))], [])
    assert "suppress.csv: two audiences would be this file" in shop(code=2).stderr


def test_a_cloud_data_ingestion_stamp_has_whole_seconds(shop):
    shop.configure({"braze_cdi": {"channel": "email", "audiences": ["at_risk"]}})
    shop.publish(crowd(3), [])
    shop(code=0, now="2026-11-22T06:00:00.100")
    shop("ack", RUN, code=0)
    shop.publish(crowd(4), [])
    assert "must increase" in shop(code=1, now="2026-11-22T06:00:00.900").stderr


def test_errors_hold_no_personal_data(shop, monkeypatch, capsys):
    """DuckDB quotes the value that it chokes on; a person must not see it."""
    monkeypatch.chdir(shop.folder)
    monkeypatch.setattr(export_audiences.rows, "settle", lambda con, d: con.execute("select c0::int from file_rows where c0 is not null"))
    code = export_audiences.main(["run", "--from", str(shop.source), "--now", "2026-11-22T06:00:00"])
    out = capsys.readouterr()
    assert code == 1 and "ConversionException" in out.err and "@" not in out.err + out.out and out.err.count("\n") == 1


def test_audience_sent_nowhere_is_shown(shop):
    shop.configure(CSV)
    done = shop(code=5)
    assert "not sent anywhere: champions, stage_new" in done.stdout
    assert shop.json(code=5, now=LATER)["manifest"]["not_sent_anywhere"] == ["champions", "stage_new"]


def test_all_are_those_made_for_the_channel_and_may_be_empty(shop):
    shop.publish(catalogue=[("stage_new", "email, push"), ("at_risk", "sms"), ("champions", "email"), ("nobody_yet", "email")])
    shop.configure({"csv": {"channel": "email", "audiences": "all", "fields": ["stage"]}}, guards={"empty": 0})
    result = shop.json(code=0)
    assert set(result["manifest"]["deliveries"]["csv"]["audiences"]) == {"stage_new", "champions", "nobody_yet"}
    shop.configure({"csv": {"channel": "email", "audiences": ["nobody_yet"], "fields": ["stage"]}}, guards={"empty": 0})
    assert shop.json(code=4)["guards"]
    shop.configure({"csv": {"channel": "email", "audiences": ["at_risk"], "fields": ["stage"]}})
    assert "made for sms" in " ".join(shop.json(code=0)["notes"])


def test_default_delivery_is_a_csv_of_every_audience(shop):
    shop.configure(None)
    (shop.folder / "destinations.yml").write_text((shop.folder / "destinations.yml").read_text().replace("deliveries: null\n", ""))
    shop(code=0)
    assert sorted(path.name for path in shop.file("csv").iterdir()) == ["at_risk.csv", "champions.csv", "stage_new.csv", "suppress.csv"]


# ---- atomic, private, alone ----

def sound(shop):
    """Every run that can be seen is complete: its manifest and all files with the SHA-256 it states."""
    runs = [path for path in (shop.folder / "exports").iterdir() if not path.name.startswith(".")]
    for run in runs:
        manifest = json.loads((run / "manifest.json").read_text())
        files = [file for delivery in manifest["deliveries"].values()
                 for made in [delivery["suppress"], *(a["files"] for a in delivery["audiences"].values())] for file in made]
        assert len(files) >= 2
        for file in files:
            data = (run / file["path"]).read_bytes()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (file["bytes"], file["sha256"])
        names = {"manifest.json", "quarantine.csv", *manifest["deliveries"]}
        assert {path.name for path in run.iterdir()} == names
    return {run.name for run in runs}


def test_kill_9_leaves_the_old_or_the_new_delivery(shop):
    times, rng = (50 if os.environ.get("TEST_LONG") else 3), random.Random(4)
    shop.publish(crowd(3000), [])
    shop.configure({name: {**EVERY[name], "audiences": ["at_risk"]} for name in ("csv", "klaviyo", "jsonl")})
    start = time.perf_counter()
    shop(code=0, process=True)
    duration, seen = time.perf_counter() - start, sound(shop)
    for n in range(times):
        child = subprocess.Popen(shop.command(now=f"2026-11-22T06:01:{n:02}"), cwd=shop.folder, stdout=subprocess.DEVNULL)
        time.sleep(duration * rng.uniform(0.2, 1.1))  # not in the start-up, where nothing is written yet
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert seen <= sound(shop) and len(sound(shop) - seen) <= 1
        seen = sound(shop)
    shop(code=0, now="2026-11-22T07:00:00")
    assert sound(shop) == seen | {RUN2}
    assert not list((shop.folder / "exports").glob(".*")), "what killed runs left is gone"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_run_leaves_nothing(shop, number):
    shop.publish(crowd(3000), [])
    for n in range(5):  # also in the midst of a query
        child = subprocess.Popen(shop.command(), cwd=shop.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        while not list((shop.folder / "exports").glob(".staging-*")):
            time.sleep(0.01)
        time.sleep(n / 50)
        child.send_signal(number)
        assert (child.communicate()[0], child.returncode) == (b"", 128 + number)
        assert not list((shop.folder / "exports").iterdir())


def test_two_runs_at_once_one_gets_75(shop):
    (shop.folder / "slow.sh").write_text("touch started; sleep 2")
    shop.configure({"csv": {**CSV["csv"], "command": ["sh", "slow.sh"]}, "other": {**CSV["csv"], "destination": "csv"}})
    first = subprocess.Popen(shop.command("--destination", "csv"), cwd=shop.folder, stdout=subprocess.DEVNULL)
    while not (shop.folder / "started").exists():
        assert first.poll() is None
        time.sleep(0.02)
    assert "another run" in shop(code=75, now=LATER).stderr
    shop("--dry-run", code=75, now=LATER)
    shop("ack", RUN, code=75)
    shop("--destination", "other", code=5, now=LATEST)
    assert first.wait() == 5


def test_two_runs_in_one_second_get_two_folders(shop):
    shop(code=5)
    shop(code=5)
    assert sound(shop) == {RUN, f"{RUN}-002"}


def test_a_writer_on_the_database_gives_75(shop):
    with duckdb.connect(str(shop.source)) as con:
        con.execute("create table x (i int)")
        assert "another process" in shop(code=75, process=True).stderr


def full_disk(shop, words=()):
    """Run with too little room: a 300 kB file system where one can be mounted, else a limit on the size of a file."""
    small = shop.folder / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(small)], capture_output=True, check=False).returncode == 0
    limit = None if mounted else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    command = shop.command(*words)
    command[command.index("--out") + 1] = str(small / "exports")
    try:
        done = subprocess.run(command, cwd=shop.folder, capture_output=True, text=True, preexec_fn=limit, check=False)
        return done, [path.name for path in (small / "exports").iterdir()]
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(small)], check=True)


def test_full_disk_is_said_clearly_and_nothing_is_published(shop):
    shop.publish(crowd(20_000), [])
    done, left = full_disk(shop)
    assert done.returncode == 1 and "the disk is full" in done.stderr and done.stderr.count("\n") == 1
    assert left == [] and not list((shop.folder / "state" / "deliveries").glob("published/*"))


def test_file_size_limit_is_said_clearly(shop):
    shop.publish(crowd(20_000), [])
    done = subprocess.run(shop.command(), cwd=shop.folder, capture_output=True, text=True, check=False,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)))
    assert done.returncode == 1 and "the disk is full" in done.stderr
    assert not list((shop.folder / "exports").iterdir())


def test_everything_is_private(shop):
    shop.configure({"csv": {**CSV["csv"], "command": ["true"]}})
    shop(code=5)
    for folder in ("exports", "state"):
        for path in (shop.folder / folder).rglob("*"):
            mode = stat.S_IMODE(path.stat().st_mode)
            assert mode == (0o700 if path.is_dir() else 0o600), path


def test_dry_run_returns_the_same_code_and_leaves_nothing(shop):
    before = shop.tree()
    names = sorted(path.name for path in shop.folder.iterdir())
    dry = shop("--dry-run", code=5)
    assert shop.tree() == before and sorted(path.name for path in shop.folder.iterdir()) == names
    wet = shop(code=5)
    assert dry.stdout.splitlines()[0] == wet.stdout.splitlines()[0]


# ---- handing over ----

def test_command_gets_the_folder_and_its_success_acknowledges(shop):
    shop.configure({"csv": {**CSV["csv"], "command": [sys.executable, "-c", "import sys; open('told', 'w').write(' '.join(sys.argv[1:]))",
                                                      "{folder}", "{run}", "$(whoami)"]}})
    shop(code=5)
    assert (shop.folder / "told").read_text() == f"{shop.file('csv').resolve()} {RUN} $(whoami)"
    assert "acknowledged before" in shop("ack", RUN, code=0).stdout


@pytest.mark.parametrize(("command", "code"), [(["sh", "-c", "echo ann@example.com; exit 7"], 7), (["no-such-program"], 127)])
def test_failed_command_is_code_1_and_no_ack(shop, command, code):
    shop.configure({"csv": {**CSV["csv"], "command": command}})
    done = shop(code=1)
    assert f"ended with {code}" in done.stderr and "@" not in done.stdout + done.stderr
    log = json.loads((shop.folder / f"state/deliveries/logs/{RUN}-csv.json").read_text())
    assert log["exit_code"] == code and (shop.file("manifest.json")).exists()
    assert not (shop.folder / "state/deliveries/acknowledged").exists()


def test_ack_refuses_a_file_that_was_touched(shop):
    shop(code=5)
    with open(shop.file("csv/at_risk.csv"), "a") as file:
        file.write("x@example.com,,\n")
    assert "changed since" in shop("ack", RUN, code=2).stderr


def test_purge_removes_expired_runs_and_replaced_snapshots(shop):
    shop.configure(CSV, expires_after_days=3)
    shop(code=5)
    shop("ack", RUN, code=0)
    shop.publish(as_of=date(2026, 11, 23))
    shop(code=5, now="2026-11-24T06:00:00")
    shop("ack", "20261124T060000Z", code=0)
    (shop.folder / "exports" / "mine").mkdir()
    assert "nothing" not in shop("purge", code=0, now="2026-11-24T07:00:00").stdout
    assert len(list((shop.folder / "state").rglob("*.parquet"))) == 1
    assert shop.file("").exists()
    assert RUN in shop("purge", code=0, now="2026-11-25T06:00:00").stdout
    assert {path.name for path in (shop.folder / "exports").iterdir()} == {"mine", "20261124T060000Z"}
    assert len(list((shop.folder / "state").rglob("ack.json"))) == 2
    assert "nothing has expired" in shop("purge", code=0, now="2026-11-25T06:00:00").stdout


def test_json_is_one_document_for_success_and_failure(shop):
    good = shop.json(code=5)
    assert good["exit_code"] == 5 and good["manifest"]["deliveries"]["csv"]["audiences"]["at_risk"]["waterfall"]["in_audience"] == 15
    bad = shop.json("--from", "none", code=3)
    assert bad["status"] == "error" and bad["exit_code"] == 3
