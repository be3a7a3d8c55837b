"""The marts of products, campaigns, consents and comebacks on the demo, against plain Python from its raw files."""

from datetime import date, timedelta

import pytest

import shop_answers
from support import DEMO, Warehouse

AS_OF = date.fromisoformat(DEMO["as_of_date"])


@pytest.fixture(scope="module")
def marts(demo_warehouse):
    return Warehouse(demo_warehouse)


@pytest.fixture(scope="module")
def shop(demo_shop):
    return demo_shop


def exact(cell):
    return pytest.approx(cell, rel=1e-12) if isinstance(cell, float) else cell


def compare(rows, expected, keys=1):
    """Every row by its first columns, every cell; floats to twelve digits."""
    found = {(row[0] if keys == 1 else row[:keys]): row[keys:] for row in rows}
    assert len(found) == len(rows), "a key comes twice"
    assert len(found) > 10, "nothing was compared"
    expected = {key: tuple(map(exact, row)) for key, row in expected.items()}
    wrong = {
        key: (found.get(key), expected.get(key))
        for key in found.keys() | expected.keys()
        if found.get(key) != expected.get(key)
    }
    assert not wrong, f"{len(wrong)} of {len(found)} rows differ, such as {next(iter(wrong.items()))}"


def test_the_raw_files_are_read_as_the_marts_read_them(marts, shop):
    """What the answers below stand on."""
    columns = ("person_id", "ordered_at", "order_number", *shop_answers.AMOUNTS)
    compare(
        marts.rows(f"select order_id, {', '.join(columns)} from marts.orders"),
        {order["order_id"]: tuple(order[name] for name in columns) for order in shop.orders},
    )


def test_order_lines(marts, shop):
    lines = shop_answers.order_lines(shop)
    compare(
        marts.rows(
            "select orders.order_id, products.product_id, quantity, order_lines.gross_amount, order_lines.discount_amount, "
            "order_lines.refunded_amount, order_lines.net_amount, order_lines.order_number, order_lines.person_id "
            "from marts.order_lines inner join marts.orders using (order_key) inner join marts.products using (product_key)"
        ),
        {
            key: (
                line["units"], *(line[amount] for amount in shop_answers.AMOUNTS),
                line["order"]["order_number"], line["order"]["person_id"],
            )
            for key, line in lines.items()
        },
        keys=2,
    )
    assert all(any(line[amount] for line in lines.values()) for amount in shop_answers.AMOUNTS)


def test_products(marts, shop):
    compare(
        marts.rows(
            "select product_id, buyers, orders, units, gross_revenue, net_revenue, first_buyers, first_buyer_share, "
            "second_order_customers, second_order_rate, median_days_to_second_order, followed_first_buyers, "
            "second_order_rate_90d, repeat_buyers, repeat_rate "
            "from marts.products"
        ),
        shop_answers.products(shop),
    )
    compare(
        marts.rows(
            "select products.product_id, others.product_id, products.next_product_orders, products.next_product_share "
            "from marts.products inner join marts.products as others on products.next_product_key = others.product_key"
        ),
        shop_answers.next_products(shop, 5, 100),
    )


def test_campaign_engagement(marts, shop):
    """By month and by day; what is not in the answer has no message."""
    columns = f"{', '.join(shop_answers.OUTCOMES)}, click_orders, click_revenue, delivery_orders, delivery_revenue"
    compare(
        marts.rows(f"select campaign_id, month, {columns} from marts.campaign_engagement where sent > 0"),
        shop_answers.campaign_engagement(shop, lambda day: day.replace(day=1)),
        keys=2,
    )
    by_day = shop_answers.campaign_engagement(shop, lambda day: day)
    compare(
        marts.rows(f"select campaign_id, sent_date, {columns} from marts.campaign_engagement_daily where sent > 0"),
        {key: row for key, row in by_day.items() if key[1] > AS_OF - timedelta(90)},
        keys=2,
    )
    silent = "count(*), sum(opened + clicked + bounced + click_orders + delivery_orders), max(cost)"
    assert marts.row(f"select {silent} from marts.campaign_engagement where sent = 0")[1:] == (0, 0)
    assert marts.row("select count(*), count(distinct campaign_id) * 90 from marts.campaign_engagement_daily") == (450, 450)


def test_attributed_orders_are_orders_once(marts, shop):
    """Nothing is attributed twice: over all campaigns there are no more orders than people placed."""
    clicked, delivered, revenue = marts.row(
        "select sum(click_orders), sum(delivery_orders), sum(delivery_revenue) from marts.campaign_engagement"
    )
    assert 0 < clicked < delivered < len(shop.sales("net_amount"))
    assert revenue < sum(amount for *_, amount in shop.sales("net_amount"))


def test_consent_changes(marts, shop):
    compare(
        marts.rows(
            f"select month, channel, source, {', '.join(shop_answers.FLOWS)}, net_growth, contactable_addresses "
            "from marts.consent_changes"
        ),
        shop_answers.consent_changes(shop),
        keys=3,
    )
    sums = ", ".join(f"sum({flow})" for flow in shop_answers.FLOWS)
    assert all(marts.row(f"select {sums} from marts.consent_changes")), "each way in and out is there"


def test_comebacks(marts, shop):
    expected = shop_answers.comebacks(shop)
    compare(
        marts.rows(
            "select orders.order_id, comebacks.person_id, from_stage, days_away, comebacks.net_amount, campaign_id, "
            "days_since_message, is_clicked from marts.comebacks inner join marts.orders using (order_key) "
            "left join intermediate.int_campaigns using (campaign_key)"
        ),
        expected,
    )
    assert {row[1] for row in expected.values()} == {"at_risk", "lapsed"}
    assert {row[4] is None for row in expected.values()} == {True, False}
    # every spell that ends with an order
    left = marts.row(
        "select count(*) from marts.customer_stage_history as one inner join marts.customer_stage_history as other "
        "on one.person_id = other.person_id and one.exited_at = other.entered_at "
        "where one.stage in ('at_risk', 'lapsed') and other.stage not in ('at_risk', 'lapsed', 'erased')"
    )
    assert left == (len(expected),)


def test_cohort_values_by_month_and_channel(marts, shop):
    compare(
        marts.rows(
            "select cohort, age_days, customers, eligible_customers, gross_revenue, net_revenue, gross_revenue_per_customer, "
            "net_revenue_per_customer from marts.cohort_value where cohort_type = 'month and acquisition_channel'"
        ),
        shop.cohort_values("month and acquisition_channel"),
        keys=2,
    )
    parts = marts.rows("select distinct cohort = concat_ws(' / ', cohort_month, dimension_value) from marts.cohort_value")
    assert parts == [(True,)]
