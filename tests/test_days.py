"""Day after day: what is read by part (macros/by_part.sql) gives the marts that a full refresh gives.

A shop of 300 customers whose events and messages come as files lives some days, and each brings something that could go wrong.
After every build all marts are compared with those of a full refresh on the same data; the days go on from the first.
"""

import hmac
import os
import random
import secrets
import shutil
from datetime import date, timedelta
from hashlib import sha256

import duckdb
import pytest

from keyed_hash import read_key
from support import NO_UNIT_TESTS, checksums, dbt, script

LONG = os.environ.get("TEST_LONG")
NO_TESTS = (*NO_UNIT_TESTS, "--exclude-resource-type", "test")
LAST = date(2026, 6, 30)
GROWING = {"app/events": "occurred_at", "esp/messages": "sent_at"}
CUT = {"shop/orders": "left(ordered_at, 10)", "shop/refunds": "refunded_at", "app/users": "created_at"}
BY_PART = ["base_app__events", "base_esp__messages", "int_app_sessions", "int_app_user_days", "int_app_views"]


class Shop:
    """The raw data of a shop as they are at the end of a day, and the warehouse."""

    def __init__(self, folder, days, seed):
        self.whole, self.raw, self.warehouse = folder / "whole", folder / "raw", folder / "lifecycle.duckdb"
        self.rng, self.extra, self.variables = random.Random(seed), 0, {"business_time_zone": "Europe/Berlin"}
        done = script("generate_demo_data.py", "--customers", 300, "--as-of", LAST, "--out", self.whole, "--state", folder / "unused")
        assert done.returncode == 0, done.stderr
        shutil.copytree(self.whole, self.raw)
        self.sql = duckdb.connect().execute
        self.sql("set TimeZone = 'UTC'")
        self.today = LAST - timedelta(days)
        for table, time in GROWING.items():
            (self.raw / f"{table}.parquet").unlink()
            (self.raw / table).mkdir()
            months = self.sql(f"select distinct strftime({time}, '%Y-%m') from {self.file(table)} where {time} <= ?", [self.today]).fetchall()
            for (month,) in months:
                self.part(table, month, f"from {self.file(table)} where strftime({time}, '%Y-%m') = '{month}' and {time} <= '{self.today}'")
            self.part(table, "stray", f"from {self.file(table)} where {time} is null or {time} > timestamp '{LAST + timedelta(1)}'")
        self.cut()

    def file(self, table):
        return f"'{self.whole}/{table}.parquet'"

    def path(self, table, name):
        return self.raw / table / f"part_{name}.parquet"

    def part(self, table, name, query):
        self.sql(f"copy ({query}) to '{self.path(table, name)}'")

    def cut(self):
        for table, time in CUT.items():
            self.sql(f"copy (from {self.file(table)} where coalesce(try_cast({time} as date) <= '{self.today}', true)) to '{self.raw}/{table}.parquet'")

    def a_day(self, table="app/events"):
        """The name of one of the parts."""
        return self.rng.choice(sorted(path.stem.removeprefix("part_") for path in (self.raw / table).iterdir()))

    # ---- what a day may bring ----

    def comes(self):
        """The next day, in parts of its own."""
        self.today += timedelta(1)
        for table, time in GROWING.items():
            self.part(table, self.today, f"from {self.file(table)} where cast({time} as date) = '{self.today}'")
        self.cut()

    def without_rows(self):
        self.today += timedelta(1)
        self.cut()

    def late(self):
        """Events of 400 days come again: as they were, with other values, or under new ids; the same of messages, as they go on."""
        self.extra += 1
        since = f"occurred_at between '{self.today - timedelta(400)}' and '{self.today}'"
        changed = "* replace (if(hash(event_id) % 5 = 0, 'app_opened', event_name) as event_name, if(hash(event_id) % 5 = 1, event_id || '-late', event_id) as event_id)"
        self.part("app/events", f"late_{self.extra}", f"select {changed} from (from {self.file('app/events')} where {since} and hash(event_id, {self.extra}) % 40 = 0)")
        opened = "* replace (coalesce(opened_at, sent_at + interval 1 day) as opened_at)"
        self.part("esp/messages", f"late_{self.extra}", f"select {opened} from (from {self.file('esp/messages')} where sent_at <= '{self.today}' and hash(message_id, {self.extra}) % 40 = 0)")

    def rewritten(self):
        """A part without a tenth of its rows, and with others at another time."""
        for table, time in GROWING.items():
            name = self.a_day(table)
            self.sql(f"create or replace temp table rows as from '{self.path(table, name)}'")
            self.part(table, name, f"select * replace (if(hash({time}) % 7 = 0, {time} - interval 1 day, {time}) as {time}) from rows where hash({time}) % 10 != 0")

    def vanished(self):
        self.path("app/events", self.a_day()).unlink()

    def merged(self):
        """Two app users turn out to be one customer's."""
        users = f"{self.raw}/app/users.parquet"
        self.sql(f"create or replace temp table rows as from '{users}'")
        one, other = self.rng.sample([user for (user,) in self.sql("select user_id from rows order by 1").fetchall()], 2)
        (customer,) = self.rng.choice(self.sql(f"select customer_id from {self.file('shop/customers')} order by 1").fetchall())
        self.sql(f"copy (select * replace (if(user_id in ('{one}', '{other}'), '{customer}', customer_id) as customer_id) from rows) to '{users}'")

    def erased(self):
        """An app user is erased: what names them is replaced where raw data are read."""
        state = self.warehouse.with_suffix(".state")
        (user,) = self.rng.choice(self.sql(f"select user_id from {self.file('app/users')} order by 1").fetchall())
        keys = [("record", f"app:user:{user}"), ("user_id", user)]
        hashes = [(kind, hmac.digest(read_key(state), sha256(text.encode()).digest().hex().encode(), "sha256").hex()) for kind, text in keys]
        rows = ", ".join(f"('{kind}', '{key}')" for kind, key in hashes)
        (state / "erasures").mkdir(exist_ok=True)
        self.sql(f"""copy (select 'R' as request, 'erased' as event, '{secrets.token_hex(16)}' as person_id, kind, key_hash,
            '{secrets.token_hex(16)}' as pseudonym, null::varchar as old_person_id_hash, timestamp '2026-06-01' as received_at, timestamp '2026-06-01' as erased_at
            from (values {rows}) as t(kind, key_hash)) to '{state}/erasures/{secrets.token_hex(4)}.parquet'""")

    def killed(self):
        """The build of the day ends between the tables by part and what reads them."""
        self.comes()
        self.run("--select", "staging.*")

    def partly(self):
        """Somebody builds a table by part from nothing, as a trial."""
        self.run("--empty", "--select", "+int_app_sessions")

    def other_variable(self):
        self.variables |= {"evaluating_product_views": self.rng.choice([2, 4]), "earliest_plausible_date": self.rng.choice(["2025-01-01", "2024-06-01"])}

    def earlier_day(self):
        self.variables |= {"as_of_date": str(self.today - timedelta(self.rng.randint(1, 40)))}

    def latest_day(self):
        self.variables.pop("as_of_date", None)

    # ---- building ----

    def run(self, *arguments):
        dbt("build", *NO_TESTS, *arguments, raw=self.raw, warehouse=self.warehouse, variables=self.variables)

    def judge(self, day):
        """The marts are those of a full refresh; then go on as if there had been none."""
        self.run()
        ours, kept = self.result(), self.warehouse.with_suffix(".kept")
        shutil.copy(self.warehouse, kept)
        self.run("--full-refresh")
        theirs = self.result()
        shutil.move(kept, self.warehouse)
        assert [name for name in ours if ours[name] != theirs[name]] == [], day

    def result(self):
        """{mart: its checksum}, and how many rows by part count, with how many keys."""
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            counted = {name: connection.execute(f"select row_status, count(*), count(distinct row_key) from staging.{name} group by 1 order by 1").fetchall() for name in BY_PART[:2]}
        for statuses in counted.values():
            assert all(rows == keys for status, rows, keys in statuses if status == "staged")
        return checksums(self.warehouse) | counted

    def read_last(self):
        """{table by part: (parts that the last run wrote, all parts)}"""
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            schemas = dict(connection.execute("select table_name, schema_name from duckdb_tables()").fetchall())
            last = "(select invocation_id from audit.invocations order by started_at desc limit 1)"
            return {name: connection.execute(f"select count(*) filter (where content = {last}), count(*) from {schemas[name]}.{name}__parts").fetchone() for name in BY_PART}


DAYS = [
    ["late"],
    ["comes", "rewritten", "merged"],
    ["vanished", "erased", "without_rows"],
    ["killed", "partly"],
    ["comes", "other_variable", "earlier_day"],
]
ANY = ["comes", "without_rows", "late", "rewritten", "vanished", "merged", "erased", "killed", "partly", "other_variable", "earlier_day", "latest_day"]


def test_days_one_by_one(tmp_path):
    shop = Shop(tmp_path, len(DAYS), seed=1)
    shop.run()
    assert all(read == parts for read, parts in shop.read_last().values())
    shop.comes()
    shop.run()
    assert {read for read, _ in shop.read_last().values()} == {1}, "an ordinary day reads its own part alone"
    before = shop.read_last()
    shop.run()
    assert shop.read_last() == {name: (0, parts) for name, (_, parts) in before.items()}, "and without a new one nothing"
    for day in DAYS:
        for event in day:
            getattr(shop, event)()
        shop.judge(day)


@pytest.mark.skipif(not LONG, reason="minutes; make test-long")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_many_days_of_any_kind(tmp_path, seed):
    shop = Shop(tmp_path, 12, seed)
    shop.run()
    for day in range(10):
        events = shop.rng.sample(ANY, 3)
        for event in events:
            if shop.today < LAST or event not in ("comes", "without_rows", "killed"):
                getattr(shop, event)()
        shop.judge((day, events))
