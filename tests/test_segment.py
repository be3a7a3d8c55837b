"""Events of Segment: whose they are, when they were, and what they are called here."""

import csv
from datetime import datetime

import pytest

from support import NO_UNIT_TESTS, Warehouse, dbt, shared_data, write

SMALL = {
    "sources": ["shop", "segment"],
    "as_of_date": "2026-03-31",
    "business_time_zone": "Europe/Berlin",
    "source_settings": {"segment": {"links_to": "shop"}},
}
# user 7 is customer 7 whatever the addresses; 900 is in no shop; device d2 sees two logins; d9 none; t1 is delivered twice
FILES = {
    "shop/customers.csv": "customer_id,email,created_at\n7,ann@example.com,2026-01-01\n8,bob@example.com,2026-01-01\n",
    "shop/orders.csv": "order_id,customer_id,ordered_at,gross_amount\no1,7,2026-01-05 10:00:00,10.00\n",
    "segment/identifies.csv": """id,anonymous_id,user_id,email,received_at,timestamp
i1,d1,7,work@example.com,2026-03-10 09:00:01,2026-03-10 09:00:00.000
i2,d2,8,bob@example.com,2026-03-10 09:00:01,2026-03-10 09:00:00.000
i3,d2,900,,2026-03-12 09:00:01,2026-03-12 09:00:00.000
""",
    "segment/tracks.csv": """id,anonymous_id,user_id,event,event_text,context_library_name,received_at,timestamp,rudder_id,uuid_ts
t1,d1,,product_added,Product Added,analytics.js,2026-03-09 12:00:05,2026-03-09 12:00:00.000,r,2026-03-09
t1,d1,,product_added,Product Added,analytics.js,2026-03-09 12:10:00,2026-03-09 12:00:01.000,r,2026-03-09
t2,d1,7,order_completed,Order Completed,analytics-android,2026-04-02 00:00:00,2026-03-31 21:59:59.000,r,2026-04-02
t3,d1,7,checkout_started,Checkout Started,analytics.js,2026-03-31 22:00:00,2026-03-31 22:00:00.000,r,2026-03-31
t4,d2,,Quiz_Finished,Quiz Finished,,2026-03-11 12:00:00,2026-03-11 12:00:00.000,r,2026-03-11
t5,d9,,product_added,Product Added,analytics.js,2026-03-11 12:00:00,2026-03-11 12:00:00.000,r,2026-03-11
t6,,8,payment_info_entered,Payment Info Entered,analytics-ruby,2026-03-11 12:00:00,2026-03-11 12:00:00.000,r,2026-03-11
t7,d1,7,product_viewed,Product Viewed,analytics.js,2026-03-11 12:00:00,soon,r,2026-03-11
""",
    "segment/screens.jsonl": '{"id":"s1","anonymous_id":"d2","name":"Home","context_library_name":"analytics-ios","context_device_model":"iPhone17,2",'
    '"received_at":"2026-03-09T12:00:01Z","timestamp":"2026-03-09T12:00:00Z"}\n',
    "segment/users.csv": "id,email,received_at\n7,ann.new@example.com,2026-03-20 00:00:00\n900,cem@example.com,2026-03-20 00:00:00\n",
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The models of the adapter with their unit tests, then everything up to customers."""
    folder = tmp_path_factory.mktemp("segment")
    write(folder / "raw", FILES)
    place = {"raw": folder / "raw", "warehouse": folder / "lifecycle.duckdb", "variables": SMALL}
    dbt("build", "--select", "path:models/staging/segment", "resource_type:seed", "--exclude", "test_type:data", **place)
    dbt("run", "--select", "+customers", "+rejected_rows", **place)
    opened = Warehouse(folder / "lifecycle.duckdb")
    yield opened
    opened.connection.close()


def test_events_are_whose_they_are_and_called_as_here(small):
    """In the business zone by `timestamp`; the later delivery of one call; what devices did before a login is the next user's."""
    assert small.rows("select event_id, user_id, event_name, platform, device, occurred_at from staging.stg_app__events order by 1") == [
        ("s1", "8", "screen_viewed", "ios", "iPhone17,2", datetime(2026, 3, 9, 13)),
        ("t1", "7", "product_added_to_cart", "web", None, datetime(2026, 3, 9, 13, 0, 1)),
        ("t2", "7", "order_completed", "android", None, datetime(2026, 3, 31, 23, 59, 59)),
        ("t3", "7", "checkout_started", "web", None, datetime(2026, 4, 1)),
        ("t4", "900", "quiz_finished", None, None, datetime(2026, 3, 11, 13)),
        ("t6", "8", "checkout_started", None, None, datetime(2026, 3, 11, 13)),
    ]
    assert small.rows("select row_key, reason like 'timestamp: %' from intermediate.rejected_rows") == [("t7", True)]


def test_people_are_the_shops_and_those_who_logged_in(small):
    """Three people, as the visitor of d9 is nobody; an order that Segment saw is activity and no second order."""
    people = small.rows(
        "select primary_customer_id, app_user_id, email, orders_count, last_activity_date, is_active_30d "
        "from marts.customers order by app_user_id"
    )
    assert [row[:4] for row in people] == [
        ("7", "7", "ann@example.com", 1),
        ("8", "8", "bob@example.com", 0),
        ("900", "900", "cem@example.com", 0),
    ]
    assert [(str(row[4]), row[5]) for row in people] == [("2026-03-31", True), ("2026-03-11", True), ("2026-03-11", True)]
    assert small.rows("select user_id, email, created_at from staging.stg_app__users order by 1") == [
        ("7", "ann.new@example.com", datetime(2026, 3, 10, 10)),
        ("8", "bob@example.com", datetime(2026, 3, 10, 10)),
        ("900", "cem@example.com", datetime(2026, 3, 12, 10)),
    ]


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The sample of a shop's site on top of the shop."""
    folder = tmp_path_factory.mktemp("segment_sample")
    sources = shared_data("sources")
    (folder / "raw").mkdir()
    (folder / "raw/segment").symlink_to(sources / "segment")
    (folder / "raw/shopify").symlink_to(sources / "shopify_fivetran")
    variables = {"sources": ["shopify", "segment"], "as_of_date": "2026-10-31", "business_time_zone": "Europe/Berlin"}
    path = folder / "lifecycle.duckdb"
    done = dbt("build", *NO_UNIT_TESTS, raw=folder / "raw", warehouse=path, variables=variables)
    assert "WARN" not in done.stdout.replace("WARN=0", ""), done.stdout[-4000:]
    opened = Warehouse(path)
    yield opened
    opened.connection.close()


def test_the_sample_has_the_users_stated(sample, truth):
    """Everybody who logged in is a customer of the shop, by address alone; visitors are nobody."""
    expected = truth["with_segment"]
    assert sample.row("select count(*), count(app_user_id) from marts.customers") == (
        expected["users_shop"],
        expected["identified"],
    )
    assert sample.row(
        "select count(distinct anonymous_id) from staging.int_segment__calls where user_id is null and anonymous_id not in "
        "(select anonymous_id from staging.int_segment__calls where kind = 'identify')"
    ) == (expected["anonymous_visitors_who_are_nobody"],)
    assert sample.row("select count(*), sum(gross_amount) - sum(discount_amount) from marts.orders") == (
        truth["counted_orders"],
        truth["gross"] - truth["discount"],
    )


def test_the_samples_events_equal_an_oracle(sample):
    """Read again in plain Python: the user of each call, or of the first later login on the device."""
    raw = shared_data("sources") / "segment"
    tables = {}
    for name in ("identifies", "tracks", "pages"):
        with (raw / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            tables[name] = {row["id"]: row for row in csv.DictReader(file)}
    logins = {}
    for row in tables["identifies"].values():
        logins.setdefault(row["anonymous_id"], []).append((row["timestamp"], row["user_id"]))
    expected = {}
    for row in [*tables["tracks"].values(), *tables["pages"].values()]:
        later = [user for at, user in sorted(logins.get(row["anonymous_id"], ())) if at >= row["timestamp"]]
        user = row["user_id"] or next(iter(later), None)
        if user:
            expected[row["id"]] = user
    assert len(expected) == 333
    assert dict(sample.rows("select event_id, user_id from staging.stg_app__events")) == expected
