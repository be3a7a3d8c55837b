"""The demo data: reproducible, complete, lifelike and as untidy as its docstring promises."""

import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "generate_demo_data.py"
AS_OF = "2026-06-30"

COLUMNS = {
    "shop/customers": "customer_id email phone first_name last_name country region city language time_zone"
    " acquisition_channel referred_by_customer_id created_at updated_at deleted_at",
    "shop/orders": "order_id customer_id email ordered_at status currency gross_amount discount_amount"
    " order_channel fulfilment_channel coupon_code is_test updated_at",
    "shop/order_items": "order_id line_number product_id quantity unit_price",
    "shop/refunds": "refund_id order_id refunded_at amount",
    "shop/products": "product_id product_name category brand replacement_cycle_days",
    "shop/referrals": "referral_id referrer_customer_id referee_email invited_at signed_up_at",
    "shop/feedback": "feedback_id customer_id kind score submitted_at",
    "shop/subscriptions": "subscription_id customer_id plan status price currency interval trial_ends_at started_at renewed_at"
    " paused_at cancelled_at",
    "app/users": "user_id customer_id email default_city default_region default_country created_at",
    "app/events": "event_id user_id session_id event_name occurred_at platform city product_id device detail",
    "esp/contacts": "contact_id email customer_id created_at",
    "esp/consents": "email phone user_id channel status source changed_at",
    "esp/suppressions": "email phone user_id channel reason suppressed_at",
    "esp/campaigns": "campaign_id campaign_name stage channel activity campaign_type is_always_on goal_metric"
    " cost currency started_at ended_at",
    "esp/messages": "message_id campaign_id email sent_at delivered_at opened_at clicked_at bounced_at"
    " unsubscribed_at complained_at",
}

# What must be there, and how often: "-- what: least to most", then the query that counts it.
MESS = """
-- duplicate orders: 3 to 99
select count(*) - (select count(*) from (select distinct * exclude (file_row_number) from orders)) from
orders

-- duplicate customers: 3 to 99
select count(*) - (select count(*) from (select distinct * from customers)) from customers

-- duplicate refunds: 3 to 99
select count(*) - count(distinct refund_id) from refunds

-- duplicate events: 3 to 999
select count(*) - count(distinct event_id) from events

-- orders with a newer version: 50 to 999
select count(*) from (select order_id from orders group by order_id having count(distinct updated_at) > 1
and count(distinct status) > 1 and order_id is not null)

-- customers who moved: 9 to 99
select count(*) from (select customer_id from customers group by customer_id having count(distinct city) >
1 and count(distinct updated_at) > 1 and customer_id is not null)

-- guests who are customers: 30 to 999
select count(*) from orders where customer_id is null and clean(email) in (select clean(email) from
customers)

-- of them in another spelling: 10 to 999
select count(*) from orders where customer_id is null and email <> clean(email) and clean(email) in
(select clean(email) from customers)

-- unknown guests: 50 to 2000
select count(*) from orders where customer_id is null and clean(email) not in (select clean(email) from
customers where email is not null)

-- orders of nobody: 3 to 999
select count(*) from orders where customer_id is null and email is null

-- people with two accounts: 3 to 99
select count(*) from (select clean(email) from customers where email not like 'reception%' group by 1
having count(distinct customer_id) = 2 and count(distinct email) = 2)

-- app users linked to two accounts: 3 to 99
select count(*) from users as u join customers as c on clean(c.email) = clean(u.email) where c.customer_id
<> u.customer_id and u.email not like 'reception%'

-- accounts at one address: 11 to 20
select max(n) from (select count(distinct customer_id) as n from customers group by clean(email) having
clean(email) is not null)

-- cancelled: 50 to 999
select count(*) from orders where status = 'cancelled'

-- Canceled: 20 to 999
select count(*) from orders where status = 'Canceled'

-- on_hold: 3 to 99
select count(*) from orders where status = 'on_hold'

-- test orders: 3 to 99
select count(*) from orders where is_test

-- free orders: 20 to 99
select count(*) from orders where gross_amount = '0.00'

-- full refunds: 50 to 999
select count(*) from refunds join orders using (order_id) where amount = try_cast(gross_amount as
decimal(18, 2)) - discount_amount::decimal(18, 2)

-- partial refunds: 50 to 999
select count(*) from refunds join orders using (order_id) where amount < try_cast(gross_amount as
decimal(18, 2)) - discount_amount::decimal(18, 2)

-- refunds after more than two weeks: 50 to 999
select count(*) from refunds join orders using (order_id) where refunded_at > order_time::date + 14

-- refunds too large: 0 to 0
select count(*) from refunds join orders using (order_id) where amount > try_cast(gross_amount as
decimal(18, 2)) - discount_amount::decimal(18, 2)

-- refunds after as-of: 3 to 9
select count(*) from refunds where refunded_at > '2026-06-30'

-- orders after as-of: 3 to 9
select count(*) from orders where order_time >= '2026-06-30 22:00:00Z'

-- events after as-of: 3 to 99
select count(*) from events where occurred_at >= '2026-06-30 22:00:00Z' and year(occurred_at) < 2099

-- events in 2099: 1 to 1
select count(*) from events where year(occurred_at) = 2099

-- late order rows: 10 to 999
select count(*) from orders where updated_at > order_time + interval 30 day

-- orders out of order: 100 to 99999
select count(*) from (select order_time < lag(order_time) over (order by file_row_number) as earlier from
orders) where earlier

-- orders with offset: 4000 to 99999
select count(*) from orders where regexp_matches(ordered_at, 'T..:..:..[+-]..:00$')

-- orders in Z: 100 to 2000
select count(*) from orders where ordered_at like '%Z'

-- orders without zone: 100 to 3000
select count(*) from orders where regexp_matches(ordered_at, '^....-..-.. ..:..:..$')

-- order currencies: 4 to 4
select count(distinct currency) from orders where currency in ('EUR','USD','GBP','CHF')

-- orders in XXX: 3 to 9
select count(*) from orders where currency = 'XXX'

-- untypable amounts: 3 to 9
select count(*) from orders where try_cast(gross_amount as decimal(18, 2)) is null

-- untypable times: 3 to 9
select count(*) from orders where order_time is null

-- orders without id: 3 to 9
select count(*) from orders where order_id is null

-- customers without id: 3 to 9
select count(*) from customers where customer_id is null

-- customers without e-mail: 9 to 99
select count(*) from customers where email is null

-- customers without orders: 800 to 1200
select count(*) from customers where customer_id not in (select customer_id from orders where customer_id
is not null)

-- customers without app: 500 to 1500
select count(*) from customers where customer_id not in (select customer_id from users where customer_id
is not null)

-- app users known to nobody: 100 to 200
select count(*) from users where customer_id is null and email is null

-- contacts who are not customers: 50 to 500
select count(*) from contacts where clean(email) not in (select clean(email) from customers where email is
not null)

-- unknown events: 3 to 999
select count(*) from events where event_name = 'widget_resized'

-- consent ties: 3 to 99
select count(*) from (select clean(email) from consents where channel = 'email' group by clean(email),
changed_at having count(distinct status) = 2)

-- opt-outs after as-of: 3 to 99
select count(*) from consents where status = 'opted_out' and changed_at > '2026-06-30 22:00:00Z'

-- opt-ins after as-of: 3 to 99
select count(*) from consents where status = 'opted_in' and changed_at > '2026-06-30 22:00:00Z'

-- contacts back after leaving: 9 to 199
select count(*) from consents as a join consents as b using (channel) where clean(a.email) =
clean(b.email) and channel = 'email' and a.status = 'opted_out' and b.status = 'opted_in' and b.changed_at
> a.changed_at

-- consents in another spelling: 50 to 999
select count(*) from consents where email <> clean(email)

-- channels of consents: 4 to 4
select count(distinct channel) from consents

-- sms consents by phone: 100 to 2000
select count(*) from consents where channel = 'sms' and phone is not null

-- events of people without a session: 5000 to 20000
select count(*) from events where session_id is null

-- such events that are no look at the widget: 0 to 0
select count(*) from events where session_id is null and (event_name <> 'feature_used' or detail <> 'home_widget')

-- days on which there is nothing else: 0 to 0
select count(*) from (select user_id, (occurred_at at time zone 'Europe/Berlin')::date as berlin_day from events group by all
having count(session_id) = 0)

-- such events that come first on their day: 0 to 0
select count(*) from (select session_id, row_number() over (partition by user_id, (occurred_at at time zone 'Europe/Berlin')::date
order by occurred_at) as n from events) where session_id is null and n = 1

-- users with a first step: 1100 to 1500
select count(distinct user_id) from events where detail = 'units_chosen'

-- of them with the last one: 350 to 650
select count(distinct user_id) from events where detail = 'notifications_allowed'

-- users of the rain radar: 600 to 800
select count(distinct user_id) from events where detail = 'rain_radar'

-- users of the sunset: 150 to 350
select count(distinct user_id) from events where detail = 'sunset'

-- users with a wish: 250 to 700
select count(distinct user_id) from events where event_name = 'product_wished' and product_id is not null

-- wishes for nothing: 0 to 0
select count(*) from events where event_name = 'product_wished' and product_id is null

-- users with two devices: 300 to 1200
select count(*) from (select user_id from events group by 1 having count(distinct device) > 1)

-- push consents by user: 100 to 2000
select count(*) from consents where channel = 'push' and user_id is not null

-- erased by e-mail: 3 to 20
select count(*) from suppressions where reason = 'erased' and channel is null and email is not null

-- erased by user: 1 to 1
select count(*) from suppressions where reason = 'erased' and user_id is not null

-- unsubscribed from all: 3 to 20
select count(*) from suppressions where reason = 'unsubscribed' and channel is null

-- sms suppressions: 3 to 20
select count(*) from suppressions where channel = 'sms' and phone is not null

-- complaints: 3 to 99
select count(*) from messages where complained_at is not null

-- complaints not suppressed: 0 to 0
select count(*) from messages as m anti join suppressions as s on s.email = m.email and s.reason =
'complaint' and s.suppressed_at = m.complained_at where m.complained_at is not null

-- hard bounces: 3 to 199
select count(*) from suppressions where reason = 'hard_bounce'

-- hard bounces that did not bounce: 0 to 0
select count(*) from suppressions as s anti join messages as m on s.email = m.email and s.suppressed_at =
m.bounced_at where s.reason = 'hard_bounce'

-- unsubscribes: 30 to 999
select count(*) from messages where unsubscribed_at is not null

-- unsubscribes without consent row: 0 to 0
select count(*) from messages as m anti join consents as c on clean(c.email) = m.email and c.changed_at =
m.unsubscribed_at and c.status = 'opted_out' and c.source = 'unsubscribe_link' and c.channel = 'email'
where m.unsubscribed_at is not null

-- messages to people not opted in: 0 to 0
select count(*) from (select m.message_id, arg_max(c.status, (c.changed_at, c.status)) as status from
messages as m left join consents as c on clean(c.email) = m.email and c.channel = 'email' and c.changed_at
<= m.sent_at group by 1) where status is distinct from 'opted_in'

-- messages to suppressed people: 0 to 0
select count(*) from messages as m join suppressions as s on s.email = m.email and (s.channel is null or
s.channel = 'email') and s.suppressed_at < m.sent_at

-- always-on programmes silent for a year: 1 to 1
select count(*) from campaigns where is_always_on and ended_at is null and campaign_id in (select
campaign_id from messages group by 1 having max(sent_at) < timestamptz '2026-06-30' - interval 365 day)

-- campaign stages: 4 to 4
select count(distinct stage) from campaigns where stage in ('reach', 'act', 'convert', 'engage')

-- duplicate subscriptions: 3 to 9
select count(*) - count(distinct subscription_id) from subscriptions

-- intervals of subscriptions: 4 to 4
select count(distinct interval) from subscriptions where interval in ('week', 'month', 'quarter', 'year')

-- subscriptions by the fortnight: 1 to 9
select count(*) from subscriptions where interval = 'fortnight'

-- subscriptions in XXX: 1 to 9
select count(*) from subscriptions where currency = 'XXX'

-- subscriptions below 0: 1 to 9
select count(*) from subscriptions where price < 0

-- subscriptions cancelled before they started: 1 to 9
select count(*) from subscriptions where cancelled_at < started_at

-- subscriptions cancelled after as-of: 1 to 20
select count(*) from subscriptions where cancelled_at >= '2026-07-01'

-- subscriptions started after as-of: 1 to 20
select count(*) from subscriptions where started_at >= '2026-07-01'

-- plans of subscriptions: 3 to 3
select count(distinct plan) from subscriptions

-- people with several subscriptions: 30 to 200
select count(*) from (select customer_id from subscriptions group by 1 having count(distinct subscription_id) > 1)

-- trials: 80 to 300
select count(*) from subscriptions where trial_ends_at is not null

-- trials that were given up: 20 to 100
select count(*) from subscriptions where cancelled_at::date <= trial_ends_at::date

-- paused subscriptions: 3 to 40
select count(*) from subscriptions where paused_at is not null and status = 'paused'

-- subscriptions that somebody pays for: 80 to 200
select count(*) from subscriptions where status = 'active'

-- renewals out of their time: 0 to 0
select count(*) from subscriptions where renewed_at not between coalesce(trial_ends_at, started_at) and
least(paused_at, cancelled_at, '2026-06-30 23:59:59') and cancelled_at >= started_at

-- real addresses: 0 to 0
select count(*) from (select email from customers union all select email from orders union all select
email from users union all select email from contacts union all select referee_email from referrals) where
not regexp_matches(clean(email), '^[a-z0-9._]+@([a-z-]+[.])?example[.](com|net|org)$')

-- telephones that could ring: 0 to 0
select count(*) from customers where not regexp_matches(phone,
'^([+]1...55501..|[+]447700900...|[+]44(2079460|1314960|1614960)...|'
|| '[+]33(63998|19900|26191|35301)....|[+]49(3023125|6990009|4066969|2214710|8999998)...)$')
"""
MESS_CASES = [
    pytest.param(query, int(least), int(most), id=name)
    for name, least, most, query in re.findall(r"-- (.+): (\d+) to (\d+)\n((?:.+\n)+)", MESS)
]


def run(out, *options):
    """Run the script at its default size; returns the finished process."""
    command = [sys.executable, str(SCRIPT), "--as-of", AS_OF, "--out", str(out), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def contents(folder):
    """The bytes of every file in a folder, by relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A folder of demo data at the default size."""
    out = tmp_path_factory.mktemp("raw") / "demo"
    done = run(out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def db(demo):
    """The raw tables as views; orders with their instant as order_time (store wall clock is Berlin)."""
    con = duckdb.connect()
    con.execute("set timezone = 'UTC'; create macro clean(email) as lower(trim(email))")
    for table in COLUMNS:
        con.execute(f"create view {table.split('/')[1]} as from '{demo}/{table}.parquet'")
    con.execute(f"""
        create or replace view orders as
        select *, case when ordered_at like '% %'
            then try_cast(ordered_at as timestamp) at time zone 'Europe/Berlin'
            else try_cast(ordered_at as timestamptz) end as order_time
        from read_parquet('{demo}/shop/orders.parquet', file_row_number = true)""")
    con.execute("""
        create view counted as
        select order_id, any_value(customer_id) as customer_id, any_value(order_time) as order_time
        from orders where order_id is not null and status not ilike 'cancel%' and not is_test
        group by order_id""")
    return con


def test_same_arguments_same_bytes(demo, tmp_path):
    assert run(tmp_path / "again").returncode == 0
    assert contents(tmp_path / "again") == contents(demo)


def test_another_seed_other_data(demo, tmp_path):
    assert run(tmp_path / "demo", "--seed", "7").returncode == 0
    other = contents(tmp_path / "demo")
    same = {name for name, data in contents(demo).items() if other[name] == data}
    assert same <= {".demo_data", "shop/products.parquet", "esp/campaigns.parquet"}


@pytest.mark.parametrize("table", COLUMNS)
def test_columns(demo, table):
    described = duckdb.sql(f"describe from '{demo}/{table}.parquet'").fetchall()
    assert [row[0] for row in described] == COLUMNS[table].split()
    money = {row[1] for row in described if row[0] in ("unit_price", "amount", "cost", "price")}
    assert money <= {"DECIMAL(18,2)"}


def test_nothing_but_the_tables(demo):
    assert set(contents(demo)) == {".demo_data", *(f"{table}.parquet" for table in COLUMNS)}
    assert [path.name for path in demo.parent.iterdir()] == ["demo"]


@pytest.mark.parametrize(("query", "least", "most"), MESS_CASES)
def test_mess(db, query, least, most):
    assert least <= db.execute(query).fetchone()[0] <= most


def test_no_two_versions_have_one_time(tmp_path):
    """With this seed an order of the till would change exactly a minute after its first version."""
    assert run(tmp_path / "demo", "--seed", "3").returncode == 0
    for table, key in (("orders", "order_id"), ("customers", "customer_id")):
        versions = f"select distinct * from '{tmp_path}/demo/shop/{table}.parquet' where {key} is not null"
        query = f"select count(*), count(distinct ({key}, updated_at)) from ({versions})"
        rows, times = duckdb.execute(query).fetchone()
        assert rows == times > 0


def test_gross_is_the_sum_of_items(db):
    orders, equal = db.execute("""
        select count(*), count(*) filter (gross_amount::decimal(18, 2) = items)
        from (
            select distinct order_id, gross_amount from orders
            where currency = 'EUR' and gross_amount <> 'n/a'
        )
        join (
            select order_id, sum(quantity * unit_price) as items from order_items group by 1
        ) using (order_id)
    """).fetchone()
    assert orders > 3000
    assert equal == orders


def test_orders_are_skewed(db):
    """Like a negative binomial: over-dispersed, many one-time buyers, some with dozens of orders."""
    buyers, mean, variance, most, once = db.execute("""
        select count(*), avg(n), var_samp(n), max(n), avg((n = 1)::int)
        from (select customer_id, count(*) as n from counted where customer_id is not null group by 1)
    """).fetchone()
    assert 900 < buyers < 1150
    assert 0.4 < once < 0.52
    assert 4 < mean < 9
    assert variance > 5 * mean
    assert 40 < most < 200


def test_seasons_and_growth(db):
    orders = db.execute("select strftime(order_time, '%Y-%m'), count(*) from counted group by 1").fetchall()
    by_month = dict(orders)
    assert by_month["2025-12"] > 1.5 * by_month["2025-10"]
    assert by_month["2025-08"] < by_month["2025-10"]
    assert by_month["2024-12"] < by_month["2025-12"]


def test_checkouts_precede_orders(db):
    """Most web and app orders of app users follow a checkout within half an hour."""
    share = db.execute("""
        select avg((exists (
            select 1 from users join events using (user_id)
            where users.customer_id = c.customer_id and event_name = 'checkout_started'
                and occurred_at between c.order_time - interval 30 minute and c.order_time
        ))::int)
        from orders as c
        where order_channel = 'app' and customer_id in (select customer_id from users)
    """).fetchone()[0]
    assert share > 0.7


def test_replaces_its_own_folder_only(tmp_path):
    out = tmp_path / "demo"
    small = ("--customers", "100", "--years", "1")
    assert run(out, *small).returncode == 0
    first = contents(out)
    assert run(out, *small, "--seed", "5").returncode == 0
    second = contents(out)
    assert second.keys() == first.keys()
    assert second["shop/orders.parquet"] != first["shop/orders.parquet"]

    (out / "online_retail.csv").write_text("mine")
    refused = run(out, *small)
    assert refused.returncode == 2
    assert "online_retail.csv" in refused.stderr
    assert contents(out) == second | {"online_retail.csv": b"mine"}


def test_refuses_a_foreign_folder(tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "orders.parquet").write_text("real")
    refused = run(tmp_path)
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert contents(tmp_path) == {"shop/orders.parquet": b"real"}


@pytest.mark.parametrize(
    "options",
    ["--as-of 2026-02-30", "--as-of soon", "--customers 5", "--customers many", "--years 0"],
)
def test_bad_arguments(tmp_path, options):
    refused = run(tmp_path / "demo", *options.split())
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert len(refused.stderr.splitlines()) == 1
    assert options.split()[0] in refused.stderr
    assert not (tmp_path / "demo").exists()
