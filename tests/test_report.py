"""The report: every number and drawing read back from the page and compared with the published marts."""

import re
import shutil
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest
import yaml

import common
from page import Page, numbers, points
from reported import changed, measured
from support import PROJECT, dbt, script

NASTY = [
    '"><script>alert(1)</script>',
    "O'Neil & \"Sons\" </td></table>",
    "שלום <b>עולם</b>",
    "عرض \N{RIGHT-TO-LEFT OVERRIDE}خاص",
    "Family 👩‍👩‍👧 {{ 7 * 7 }} {% raw %}",
]
ORDERS_ONLY = {
    "sources": ["orders_file"],
    "as_of_date": "2024-04-15",
    "business_time_zone": "UTC",
    "reporting_currency": "CHF",
}


class Marts:
    """The published file, asked in SQL of the tests' own."""

    def __init__(self, path):
        self.connection = duckdb.connect(str(path), read_only=True)
        self.connection.execute("use marts")

    def rows(self, query):
        return self.connection.execute(query).fetchall()

    def row(self, query):
        (row,) = self.rows(query)
        return row


def report(published, out, **environment):
    return script("report.py", "--from", published, "--out", out, **environment)


def made(published, folder):
    """The page as text, or a failed test."""
    out = Path(folder) / "report.html"
    done = report(published, out)
    assert done.returncode == 0, done.stderr
    return out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def published(published_demo, tmp_path_factory):
    return measured(published_demo, tmp_path_factory.mktemp("report") / "customer_lifecycle.duckdb")


@pytest.fixture(scope="module")
def marts(published):
    return Marts(published)


@pytest.fixture(scope="module")
def text(published, tmp_path_factory):
    return made(published, tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def page(text):
    return Page(text).root


def section(page, name):
    return page.one("section", id=name)


def lede(page, name):
    return next(section(page, name).all("p", class_="lede")).text


def main_text(cell):
    """The text of a cell without its small print and chips."""
    return "".join(
        child if isinstance(child, str) else child.raw_text
        for child in cell.children
        if isinstance(child, str) or (child.tag not in ("small", "br") and "chip" not in child.classes)
    ).strip()


def equal(shown, value, kind):
    """Whether a shown text is the value: kind is text, n (whole number) or a unit with digits (%1, m0, x2, c1: change in %)."""
    if value is None:
        return shown == "–"
    if kind == "text":
        return shown == str(value)
    (number,) = numbers(shown)
    if kind == "n":
        return number == value
    unit, digits = kind[0], int(kind[1])
    factor = 100 if unit in "%c" else 1
    signed = unit != "c" or shown[0] in "+−"
    return (shown.rstrip("*").endswith("%") == (unit in "%c")) and signed and close(number, factor * float(value), digits)


def axis(text):
    """The number of an axis label: 1.2m, 100k, 750."""
    return numbers(text)[0] * {"k": 1_000, "m": 1_000_000}.get(text[-1], 1)


def close(number, value, digits):
    return abs(number - value) <= 0.5 * 10**-digits + 1e-9


VALUE = ", (select net_revenue_per_customer from cohort_value where cohort_type = '{}' and dimension_value = name and age_days = {})"
NAME = "upper({0}[1]) || replace({0}[2:], '_', ' ')"
SIZES = """select stage, count(*) as people from customer_stage_history
    where entered_at < {day} and (exited_at is null or exited_at >= {day}) group by stage"""
TABLES = {  # the table's id: what its columns are, and SQL that says the same
    "money-table": (
        "text m0 c1 c1 n m2 m0 m0",
        """with months as (
            select date_trunc('month', order_date)::date as month, sum(net_amount) as net, count(*) as orders,
                coalesce(sum(net_amount) filter (where date_trunc('month', order_date) = date_trunc('month', first_order_date)), 0) as of_new
            from orders join customers using (person_id) group by 1
        )
        select strftime(now.month, '%b %Y'), now.net, now.net / before.net - 1, now.net / year.net - 1, now.orders, now.net / now.orders,
            now.of_new, now.net - now.of_new
        from months now left join months before on before.month = now.month - interval 1 month
        left join months year on year.month = now.month - interval 1 year
        where now.month >= date '2024-06-01' order by now.month desc""",
    ),
    "changed-stages-table": (
        "text n p0 c0",
        f"""select label, now.people, now.people - coalesce(before.people, 0), now.people / nullif(before.people, 0) - 1
        from stage_summary join ({SIZES.format(day="date '2026-07-01'")}) now using (stage)
        left join ({SIZES.format(day="date '2026-06-01'")}) before using (stage)
        where stage != 'erased' order by abs(now.people - coalesce(before.people, 0)) desc, position limit 8""",
    ),
    "changed-segments-table": (
        "text n p0 c0",
        f"""select {NAME.format("segment")}, now, now - before, now / nullif(before, 0) - 1 from (
            select segment, count_if(month_end = date '2026-06-30') as now, count_if(month_end = date '2026-05-31') as before
            from rfm_history group by segment)
        order by abs(now - before) desc, segment limit 8""",
    ),
    "changed-list-table": (
        "text n p0 c0",
        """select case channel when 'sms' then 'SMS' when 'email' then 'E-mail' else upper(channel[1]) || channel[2:] end, now, now - before,
            now / before - 1 from (select channel, sum(net_growth) as now, sum(net_growth) filter (where month < '2026-06-01') as before
            from consent_changes group by channel) order by abs(now - before) desc, now desc""",
    ),
    "actions-table": (
        "text text text n m0 m0",
        f"""select {NAME.format("next_best_action")}, any_value(next_best_objective),
            string_agg(distinct next_best_channel, ', ' order by next_best_channel), count(*), sum(net_revenue), sum(net_revenue) / count(*)
        from customer_campaign_facts join customers using (person_id) where next_best_action != 'none'
        group by next_best_action having sum(net_revenue) > 0 order by sum(net_revenue) desc limit 8""",
    ),
    "engagement-table": (
        "text n %1 %1 %2 n m0 m0",
        """select campaign_name, sum(sent), sum(opened) / sum(delivered), sum(clicked) / sum(delivered),
            (sum(unsubscribed) + sum(complained)) / sum(delivered), sum(click_orders), sum(click_revenue), sum(cost)
        from campaign_engagement where month >= '2025-07-01' group by campaign_key, campaign_name
        having sum(sent) > 0 order by sum(sent) desc, campaign_key""",
    ),
    "list-table": (
        "text n n n n",
        """select strftime(month, '%b %Y'), sum(total) filter (where channel = 'email'), sum(total) filter (where channel = 'push'),
            sum(total) filter (where channel = 'ads'), sum(total) filter (where channel = 'sms') from (
            select month, channel, sum(sum(net_growth)) over (partition by channel order by month) as total
            from consent_changes group by month, channel)
        where month >= '2024-06-01' group by month order by month desc""",
    ),
    "comebacks-table": (
        "text n n n m0",
        """select strftime(return_date, '%b %Y'), count_if(from_stage = 'at_risk'), count_if(from_stage = 'lapsed'),
            count(message_at), sum(orders.net_amount)
        from comebacks join orders using (order_key) where return_date >= '2024-06-01'
        group by 1, date_trunc('month', return_date) order by date_trunc('month', return_date) desc""",
    ),
    "comeback-campaigns-table": (
        "text n %1 n m0",
        """select if(message_at is null, 'No message before', campaign_name), count(*), count(*) / sum(count(*)) over (),
            round_even(median(days_away), 0), sum(net_amount)
        from comebacks where return_date > '2025-06-30' group by 1, message_at is null order by message_at is null, count(*) desc, 1""",
    ),
    "products-table": (
        "text m0 n n %0 %0 text",
        """select lines.product_name, sum(lines.net_amount), count(*), count(distinct lines.person_id),
            count(distinct lines.person_id) filter (where is_first_order) / count(distinct lines.person_id),
            any_value(if(followed_first_buyers >= 30, second_order_rate_90d, null)), any_value(coalesce(next_product_name, '–'))
        from order_lines lines join products using (product_key) group by lines.product_name, product_key
        order by 2 desc, product_key limit 12""",
    ),
    **{
        f"{column.replace('_', '-')}-table": (
            f"text n n n c1 %0 %0 m0 m0{' m0 m0' if column != 'country' else ''}",
            f"""with people as (select coalesce({column}, 'unknown') as name, * from customers where stage != 'erased')
            select {NAME.format("name") if column != "country" else "if(name = 'unknown', 'Unknown', name)"}, count(*), count_if(is_customer),
                count_if(first_order_date between date '2025-07-01' and date '2026-06-30'),
                count_if(first_order_date between date '2025-07-01' and date '2026-06-30')
                    / nullif(count_if(first_order_date between date '2024-07-01' and date '2025-06-30'), 0) - 1,
                count_if(orders_count > 1) / count_if(is_customer), count_if(stage in ('lapsed', 'at_risk')) / count_if(is_customer),
                sum(net_revenue), sum(net_revenue) / count_if(is_customer)
                {"".join(VALUE.format(column, age) for age in (90, 360)) if column != "country" else ""}
            from people group by name order by count_if(is_customer) desc, count(*) desc""",
        )
        for column in ("acquisition_channel", "country")
    },
    "habits-table": (
        "text n n n %1",
        """select strftime(metric_date, '%-d %B %Y'), dau, wau, mau, dau / mau from habit_metrics
        where date '2026-06-30' - metric_date in (select 7 * n from range(53) weeks(n)) order by metric_date desc""",
    ),
    **{
        f"{kind}s-table": (
            "text n %0",
            f"""from (select {NAME.format("name")}, sum(done_in_7d), sum(done_in_7d) / sum(people) from onboarding_cohorts
            where kind = '{kind}' and cohort_month between '2025-12-01' and '2026-05-01' group by name order by 2 desc, name
            {last})""",
        )
        for kind, last in (("feature", ""), ("step", """) union all select * from (select 'All of them', sum(done_in_7d),
            sum(done_in_7d) / sum(people) from onboarding_cohorts where kind = 'onboarding_completed'
            and cohort_month between '2025-12-01' and '2026-05-01'"""))
    },
    "reading-table": (
        "text n n n",
        """select case channel when 'sms' then 'SMS' when 'email' then 'E-mail' else 'Push' end, count_if(habit = 'reading'),
            count_if(habit = 'ignoring'), count_if(habit = 'gone')
        from (unpivot customer_habits on email_habit as 'email', sms_habit as 'sms', push_habit as 'push' into name channel value habit)
        group by channel order by channel""",
    ),
    "movements-table": (
        "text m0 m0 m0 m0 m0 m0",
        """select strftime(month, '%b %Y'), opening_mrr + new_mrr + expansion_mrr + reactivated_mrr - contraction_mrr - churned_mrr,
            new_mrr, expansion_mrr, reactivated_mrr, contraction_mrr, churned_mrr
        from subscription_movements where month >= '2024-06-01' order by month desc""",
    ),
    "plans-table": (
        "text n n m0 n",
        """select plan, count(*), count_if(is_trial), sum(monthly_price), count_if(is_upgrade_candidate) from subscriptions
        where is_active group by plan order by 4 desc""",
    ),
    "stages-table": ("text n %1 m0 m0", "select label, people, people / sum(people) over (), gross_revenue, net_revenue from stage_summary order by position"),
    "sizes-table": (
        "text n n n n n n n n n n n",
        """select strftime(month, '%b %Y'), sum(people) filter (where to_stage = 'lead'), sum(people) filter (where to_stage = 'engaged'),
            sum(people) filter (where to_stage = 'evaluating'), sum(people) filter (where to_stage = 'new'),
            sum(people) filter (where to_stage = 'one_time'), sum(people) filter (where to_stage = 'repeat'),
            sum(people) filter (where to_stage = 'loyal'), sum(people) filter (where to_stage = 'reactivated'),
            sum(people) filter (where to_stage = 'at_risk'), sum(people) filter (where to_stage = 'lapsed'),
            sum(people) filter (where to_stage = 'erased')
        from stage_transitions group by month order by month desc limit 25""",
    ),
    "activity-table": (
        "text n n n %1",
        """select strftime(metric_date, '%-d %B %Y'), users, active_users, passive_users, active_users / users
        from lifecycle_metrics where metric_date >= date '2024-06-01'
            and (day(metric_date + 1) = 1 or metric_date = (select max(metric_date) from lifecycle_metrics))
        order by metric_date desc""",
    ),
    "growth-table": (
        "text n n n n n x2 m0",
        """select strftime(month, '%b %Y'), active, new, retained, resurrected, churned, (new + resurrected) / nullif(churned, 0), revenue
        from growth_accounting where month >= (select max(month) from growth_accounting) - interval 24 month order by month desc""",
    ),
    "segments-table": (
        "text n %1 m0 m0",
        """select upper(segment[1]) || replace(segment[2:], '_', ' '), count(*), count(*) / (select count(*) from customer_rfm),
            sum(monetary) as revenue, avg(monetary) from customer_rfm group by segment order by revenue desc""",
    ),
    "lapse-table": (
        "n n n %1",
        """select days_since_last_order, spells, came_back, came_back / spells from return_curve, stage_thresholds
        where days_since_last_order in (at_risk_after_days, lapsed_after_days)
            or (days_since_last_order % 28 = 0 and spells >= 30 and days_since_last_order <= 3 * lapsed_after_days)
        order by 1""",
    ),
    "audiences-table": (
        "text n n n n text",
        """select upper(audience[1]) || replace(audience[2:], '_', ' '), count(*), any_value(reachable), any_value(held_out),
            any_value(to_send), any_value('+' || people_entered || ' −' || people_left) from audience_members
        join audience_summary using (audience) group by audience order by count(*) desc, audience""",
    ),
    "campaigns-table": (
        "text %1 %1 text text m0",
        """select upper(audience[1]) || replace(audience[2:], '_', ' '), treated_conversions / treated_people,
            control_conversions / control_people, case audience when 'lapsed' then '+16.1' else '−15.0 to +15.7' end,
            case audience when 'lapsed' then '−26,199 to +10,437' else '+12,346' end, cost
        from campaign_results where treated_people > 0 and control_people > 0
        order by treated_conversions / treated_people - control_conversions / control_people desc""",
    ),
    "sources-table": (
        "text n n n n %2 text n",
        """select source || '.' || table_name, staged_rows + duplicate_rows + rejected_rows, staged_rows, duplicate_rows,
            rejected_rows, rejected_rows / nullif(raw_rows, 0), coalesce(latest_at::date::varchar, '–'), days_behind
        from source_tables order by 1""",
    ),
    "rejected-table": (
        "text text n",
        "select source || '.' || table_name, reason, rejected_rows from rejected_reasons order by 3 desc, 1, 2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_every_number_of_the_tables_is_that_of_the_marts(page, marts, name):
    kinds, query = TABLES[name]
    shown = [
        [main_text(cell) for cell in row if not {"bars", "effect"} & set(cell.classes)] for row in page.one("table", id=name).rows()
    ]
    expected = marts.rows(query)
    assert len(shown) == len(expected) >= (1 if name == "reading-table" else 2)
    for cells, values in zip(shown, expected, strict=True):
        for cell, value, kind in zip(cells, values, kinds.split(), strict=True):
            assert equal(cell, value, kind), (cells, values)


def test_small_print_of_tables_is_that_of_the_marts(page, marts):
    results = page.one("table", id="campaigns-table").rows()
    expected = marts.rows(
        """select treated_conversions, treated_people, control_conversions, control_people, 100 * difference_low,
            100 * difference_high, result, goal_window_days, coalesce(campaign_name, '') from campaign_results
        where difference is not null order by difference desc"""
    )
    for (name, treated, control, difference, result, *_), row in zip(results, expected, strict=True):
        small = [numbers(next(cell.all("small")).text) for cell in (treated, control)]
        assert small == [list(row[0:2]), list(row[2:4])]
        assert all(close(a, b, 1) for a, b in zip(numbers(difference.text)[-2:], row[4:6], strict=True))
        assert row[6] in result.text and numbers(next(name.all("small")).text)[-1] == row[7] and row[8] in name.text
    for (name, *_), row in zip(
        page.one("table", id="audiences-table").rows(),
        marts.rows("select purpose, channels, minimum_size, to_send < minimum_size from audience_summary order by people desc, audience"),
        strict=True,
    ):
        assert f"{row[0]} ({row[1]})" in name.text
        assert (f"below its minimum of {row[2]}" in name.text) == row[3]


def test_a_gain_that_is_not_shown_to_differ_from_zero_is_never_a_sum(page, marts):
    """Of lapsed the conversions differ and the revenue does not, of at_risk the other way round: conversions, revenue, gain."""
    rows = {row[0].text.split(" order")[0]: row for row in page.one("table", id="campaigns-table").rows()}
    lapsed, at_risk = (next(row for name, row in rows.items() if name.startswith(audience)) for audience in ("Lapsed", "At risk"))
    assert (lapsed[3].text, lapsed[5].text) == ("+16.1+10.6 to +20.1", "−26,199 to +10,437")
    assert (at_risk[3].text, at_risk[5].text) == ("−15.0 to +15.7", "+12,346+5,569 to +19,113")
    assert not list(lapsed[5].all("b")) and not list(at_risk[3].all("b")), "an interval is not set off as a sum is"
    campaign = next(row for row in page.one("table", id="engagement-table").rows() if row[0].text.startswith("We miss you"))
    assert [cell.text for cell in campaign[-2:]] == ["+16.1+10.6 to +20.1", "−26,199 to +10,437"]
    others = [[cell.text for cell in row[-2:]] for row in page.one("table", id="engagement-table").rows() if row != campaign]
    assert ["not measured", "–"] in others

    gains = [[cell.text for cell in row] for row in page.one("table", id="gains-table").rows()]
    sends = dict(marts.rows("select audience, to_send from audience_summary"))
    each = 12345.5 / 55
    assert [row[0] for row in gains] == ["At risk", "Lapsed"], "first the one whose gain is shown"
    assert gains[0][2:5] == [str(sends["at_risk"]), "30 days", f"+{each:.2f}"] and gains[1][4] == "–"
    assert numbers(gains[0][5])[0] == round(sends["at_risk"] * each)
    assert gains[1][5] == f"{sends['lapsed'] * -61.5:,.0f} to +{sends['lapsed'] * 24.5:,.0f}".replace("-", "−")
    assert f"Of {len(sends) - 2} audiences" in section(page, "next").text


def test_touchpoints_are_those_of_the_mart(page, marts):
    lists = page.one("div", id="touchpoints-lists")
    shown = [(item["data-status"], item.text) for item in lists.all("li")]
    expected = marts.rows("""select status, if(is_planned, label, upper(label[1]) || replace(label[2:], '_', ' ')),
        replace(channel, '_', ' '), is_planned, last_sent_on::varchar, if(is_live, round_even(100 * coverage, 0)::int, null)
        from touchpoint_gaps order by min(position) over (partition by race_stage), position""")  # fmt: skip
    assert len(shown) == len(expected) > 20
    for (status, text), (said, label, channel, is_planned, sent, coverage) in zip(shown, expected, strict=True):
        assert status == said and f" {said} {label}{channel}" in text
        assert ("not on the list" in text) != is_planned and (sent or "last") in text + ("last" if not sent else "")
        assert (coverage is None) != text.endswith(f"{coverage}%")


def test_cohort_values_are_over_those_who_reached_the_age(page, marts):
    values = {(year, age): rest for year, age, *rest in marts.rows("""
        with people as (select person_id, first_order_date, year(first_order_date)::varchar as year from customers where is_customer),
            reached as (select * from people, (select unnest([0, 30, 60, 90, 180, 360, 720]) as age), build_settings
                where first_order_date + age <= as_of_date)
        select year, age, count(distinct person_id), sum(net_amount) filter (where order_date <= first_order_date + age)
            / count(distinct person_id)
        from reached join orders using (person_id) group by year, age""")}
    cells = 0
    for year, *shown in page.one("table", id="values-table").rows():
        for age, cell in zip((0, 30, 60, 90, 180, 360, 720), shown, strict=True):
            people, value = values.get((year.text, age), (0, None))
            if people < 30:
                assert cell.text == "–"
            else:
                cells += 1
                assert close(numbers(main_text(cell))[0], value, 2) and numbers(next(cell.all("small")).text) == [people]
    assert cells > 15
    figure = section(page, "values").one("figure")
    top = axis(figure.one("span", class_="y", style="top:0px").text)
    for curve in figure.all("polyline"):
        ages = [age for age in (0, 30, 60, 90, 180, 360, 720) if values.get((curve["data-line"], age), (0,))[0] >= 30]
        expected = [(1000 * age / 720, 240 - 240 * float(values[curve["data-line"], age][1]) / top) for age in ages]
        assert [xy for point in points(curve) for xy in point] == pytest.approx([xy for point in expected for xy in point], abs=0.01)


def test_key_figures(page, marts):
    tiles = {tile["data-metric"]: tile for tile in section(page, "key-figures").all("div", class_="tile")}
    users, customers, revenue = marts.row(
        "select count(*), count_if(is_customer), (select sum(monetary) from customer_rfm) from customers"
    )
    before = marts.row("select users, customers from lifecycle_metrics where metric_date = date '2025-06-30'")
    value = {name: tile.one("p", class_="value").text for name, tile in tiles.items()}
    assert numbers(value["users"]) == [users] and numbers(value["customers"]) == [customers]
    assert value["value_per_customer"].startswith("EUR ")
    assert close(numbers(value["value_per_customer"])[0], float(revenue) / customers, 2)
    assert close(numbers(tiles["value_per_customer"].one("p", class_="foot").text)[0], float(revenue), 0)
    for name, now, then in (("users", users, before[0]), ("customers", customers, before[1])):
        assert tiles[name].one("span", class_="change").text == f"+{now - then:,} in a year"
    rows = marts.rows("select metric, label, value, target, tolerance, health, value - year_ago_value from metric_health")
    assert len(rows) + 3 == len(tiles) == 8
    for metric, label, now, target, tolerance, health, change in rows:
        tile, factor = tiles[metric], 1 if metric == "session_depth" else 100
        assert tile.one("h3").text == label
        assert close(numbers(value[metric])[0], factor * now, 1)
        assert tile.one("span", class_="chip").text.endswith(f"{health} target")
        assert numbers(tile.one("span", class_="target").text) == [pytest.approx(factor * target), pytest.approx(factor * tolerance)]
        assert ("points" in tile.one("span", class_="target").text) == ("points" in tile.one("span", class_="change").text) == (factor == 100)
        assert close(numbers(tile.one("span", class_="change").text)[0], factor * change, 1)
        months = marts.row("select 1 + count(distinct date_trunc('month', metric_date)) from lifecycle_metrics where metric_date >= '2024-07-01'")
        assert len(points(tile.one("polyline"))) == months[0]


def test_it_opens_with_money_what_changed_and_what_to_do(page, marts):
    assert [node["id"] for node in page.one("main").all("section")][:4] == ["money", "changes", "next", "key-figures"]
    assert [node["href"] for node in page.one("nav").all("a")] == [f"#{node['id']}" for node in page.one("main").all("section")]
    assert section(page, "money").one("h2").text == "Money in June 2026"
    month = """select sum(net_amount) as net, count(*) as orders, sum(net_amount) / count(*) as average,
        sum(net_amount) filter (where date_trunc('month', first_order_date) = date '{0}') as of_new,
        sum(net_amount) filter (where date_trunc('month', first_order_date) < date '{0}') as of_others
        from orders join customers using (person_id) where date_trunc('month', order_date) = date '{0}'"""
    now, before, year = (marts.row(month.format(day)) for day in ("2026-06-01", "2026-05-01", "2025-06-01"))
    tiles = list(section(page, "money").all("div", class_="tile"))
    for tile, value, value_before, value_year, digits in zip(tiles, now, before, year, (0, 0, 2, 0, 0), strict=True):
        assert close(numbers(tile.one("p", class_="value").text)[0], float(value), digits)
        on_month, on_year = (change.text for change in tile.all("span", class_="change"))
        assert on_month.endswith("% on May 2026") and close(numbers(on_month)[0], 100 * float(value / value_before - 1), 1)
        assert on_year.endswith("% on Jun 2025") and close(numbers(on_year)[0], 100 * float(value / value_year - 1), 1)
    largest = marts.rows("""select people, lower(replace(from_label, 'from: ', '')), lower(replace(to_label, 'to: ', ''))
        from stage_transitions where month = '2026-06-01' and from_stage not in ('first_seen', to_stage) order by people desc limit 3""")
    assert lede(page, "changes") == f"Largest moves: {', '.join(f'{n} from {a} to {b}' for n, a, b in largest)}."
    people, none = marts.row("select count_if(next_best_action != 'none'), count_if(next_best_action = 'none') from customer_campaign_facts")
    assert numbers(lede(page, "next"))[:2] == [people, none]
    for action, count in marts.rows("""select replace(next_best_action, '_', ' '), count(*) from customer_campaign_facts
            where next_best_action != 'none' group by 1 having sum(historic_value) = 0"""):  # fmt: skip
        assert f"{action} {count}" in section(page, "next").text


def test_every_drawing_has_its_axis(page):
    plots = list(page.all("div", class_="plot"))
    assert len(plots) >= 7
    for plot in plots:
        marks = [axis(mark.text) for mark in plot.all("span", class_="y")]
        assert 0 in marks and len(marks) > 1, plot.one("svg")["aria-label"]
        assert len([tick for ticks in plot.all("div", class_="ticks") for tick in ticks.all("span")]) > 1
    for spark in page.all("div", class_="spark"):
        assert [len(numbers(mark.text)) for mark in spark.all("span", class_="y")] == [1, 1]
        assert len(numbers(spark.one("span", class_="x").text)) == 2, "the first and the last month"
    for table in ("cohorts-table", "rfm-table", "locations-table"):
        ramps = list(section(page, table.removesuffix("-table")).all("p", class_="ramp"))
        assert len(ramps) == 1 and len(numbers(ramps[0].text)) == 2
    for table in page.all("table"):
        heads, rows = [head.text for head in table.one("thead").all("th")], table.rows()
        for index, cell in enumerate(rows[0]):
            if "bars" in cell.classes:
                assert len(numbers(heads[index])) == 2, f"{table['id']}: {heads[index]} is no scale"


def test_sentences_say_what_the_marts_say(page, marts):
    leaving = marts.row("select count(*), sum(net_revenue) from customers where stage in ('at_risk', 'lapsed')")
    customers = marts.row("select count_if(is_customer) from customers")
    shown = numbers(lede(page, "stages"))
    assert shown[:2] == [leaving[0], customers[0]] and close(shown[2], float(leaving[1]), 0)
    caption = page.one("table", id="stages-table").one("caption").text
    assert numbers(caption)[:2] == list(marts.row("select at_risk_after_days, lapsed_after_days from stage_thresholds"))
    assert numbers(caption)[4:6] == list(marts.row("select sample_gaps, sample_customers from stage_thresholds"))

    buying, gone = ("new", "one_time", "repeat", "loyal", "reactivated"), ("at_risk", "lapsed")
    prospects = ("lead", "engaged", "evaluating")
    flows = """from stage_transitions where is_complete and month = (select max(month) from stage_transitions where is_complete)"""
    assert numbers(lede(page, "flow")) == list(marts.row(f"""select sum(people) filter (where from_stage != to_stage),
        sum(people) filter (where from_stage = to_stage),
        sum(people) filter (where to_stage in {gone} and from_stage in {buying + prospects}),
        sum(people) filter (where to_stage in {buying} and from_stage in {gone}) {flows}"""))  # fmt: skip
    assert section(page, "flow").one("h2").text == "Stage flow in June 2026", "June ends with the as-of date"

    assert lede(page, "activity").startswith("{:,} of {:,} users".format(*marts.row("select count_if(is_active_30d), count(*) from customers")))
    assert "the 30 days since 1 June 2026" in lede(page, "activity")
    new, back, lost = marts.row("select new, resurrected, churned from growth_accounting where month = date '2026-06-01'")
    assert lede(page, "growth") == f"June 2026: {new:,} new and {back:,} resurrected customers against {lost:,} churned, a quick ratio of {(new + back) / lost:.2f}."
    for shown, period in zip(numbers(lede(page, "cohorts")), (1, 12), strict=True):
        share = "select sum(active_customers) / sum(cohort_size) from cohort_retention where is_complete and period_index ="
        assert close(shown, 100 * marts.row(f"{share} {period}")[0], 1)
    best = marts.row(
        """select segment, count(*) / any_value(everybody), sum(monetary) / any_value(revenue) from customer_rfm,
            (select count(*) as everybody, sum(monetary) as revenue from customer_rfm) group by segment order by 3 desc limit 1"""
    )
    assert lede(page, "rfm").lower().startswith(best[0].replace("_", " "))
    assert all(close(a, 100 * float(b), 1) for a, b in zip(numbers(lede(page, "rfm")), best[1:], strict=True))
    for sentence, threshold in zip(lede(page, "lapse").split(";"), ("at_risk", "lapsed"), strict=True):
        days, share = marts.row(f"select days_since_last_order, came_back / spells from return_curve where is_{threshold}_threshold")
        shown = numbers(sentence)
        assert shown[0] == days and close(shown[1], 100 * share, 1)
    live = marts.row("select count(*), count_if(is_live), count_if(is_silent), count_if(not is_live) from touchpoint_gaps where is_planned")
    assert numbers(lede(page, "touchpoints")) == list(live)
    assert numbers(lede(page, "audiences")) == list(marts.row("select count(*), count_if(is_below_minimum) from audience_summary"))
    sent, opened, clicked = marts.row("""select sum(sent), 100 * sum(opened) / sum(delivered), 100 * sum(clicked) / sum(delivered)
        from campaign_engagement where month >= '2025-07-01'""")
    shown = numbers(lede(page, "campaigns"))
    assert shown[:2] == [sent, 12] and close(shown[2], opened, 1) and close(shown[3], clicked, 1)
    assert "In 1 of 2 measured audiences" in section(page, "campaigns").text
    at_risk, lapsed, net, after = marts.row("""select count_if(from_stage = 'at_risk'), count_if(from_stage = 'lapsed'), sum(net_amount),
        count(campaign_key) from comebacks where return_date >= '2026-06-01'""")
    shown = numbers(lede(page, "comebacks"))
    assert shown[1:3] == [at_risk, lapsed] and close(shown[3], float(net), 0) and shown[4:] == [after, at_risk + lapsed, 14]
    stock, growth = marts.row("select sum(contactable_addresses), sum(net_growth) from consent_changes where month = '2026-06-01' and channel = 'email'")
    won, before = marts.row("""select count_if(first_order_date > '2025-06-30'), count_if(first_order_date between '2024-07-01' and '2025-06-30')
        from customers where country = 'DE'""")
    assert lede(page, "groups").endswith(f"by country DE {won} ({100 * (won / before - 1):+.1f}%).")
    assert lede(page, "list") == f"E-mail, the largest list: {stock:,} addresses at the end of June 2026, {growth:+,} in the month."
    assert "Win back (1,234 people)" in section(page, "campaigns").text
    assert f"{marts.row('select count(*) from campaign_results where assigned_people = 0')[0]} audiences have nobody assigned" in section(page, "campaigns").text
    assert numbers(lede(page, "data")) == list(marts.row("select sum(rejected_rows), sum(raw_rows) from source_tables"))


def test_flow_table_and_sankey_are_the_transitions(page, marts):
    month = "from stage_transitions where month = (select max(month) from stage_transitions where is_complete)"
    people = {(a, b): n for a, b, n in marts.rows(f"select from_stage, to_stage, people {month}")}
    stages = [stage for (stage,) in marts.rows("select stage from stage_summary order by position")]
    table = page.one("table", id="flow-table").rows(("td",))
    for source, cells in zip(["first_seen", *stages], table, strict=True):
        assert [numbers(cell.text) for cell in cells] == [[people.get((source, to), 0)] for to in stages]

    figure = section(page, "flow").one("div", class_="sankey")
    ribbons = {}
    for path in figure.all("path"):
        left_top, right_top, right_bottom, left_bottom = (
            float(y) for y in re.fullmatch(
                r"M12 (\S+)C500 \S+ 500 \S+ 988 (\S+)V(\S+)C500 \S+ 500 \S+ 12 (\S+)Z", path["d"]
            ).groups()
        )  # fmt: skip
        ribbons[path["data-from"], path["data-to"]] = (left_top, left_bottom, right_top, right_bottom)
        assert numbers(path.one("title").text) == [people[path["data-from"], path["data-to"]]]
    moves = {pair: n for pair, n in people.items() if n and pair[0] != pair[1]}
    assert ribbons.keys() == moves.keys() and len(moves) > 10
    scale = 300 / sum(moves.values())
    for pair, (left_top, left_bottom, right_top, right_bottom) in ribbons.items():
        assert left_bottom - left_top == pytest.approx(moves[pair] * scale, abs=0.02)
        assert right_bottom - right_top == pytest.approx(moves[pair] * scale, abs=0.02)
    # at both ends the ribbons fill their node from end to end, and the node is labelled with their sum
    for end, side, x in ((0, "from", "0"), (1, "to", "988")):
        names = [stage for stage in ["first_seen", *stages] if any(pair[end] == stage for pair in moves)]
        nodes = list(figure.all("rect", x=x))
        labels = list(figure.one("div", class_=side).all("span"))
        for name, node, label in zip(names, nodes, labels, strict=True):
            total = sum(n for pair, n in moves.items() if pair[end] == name)
            assert numbers(label.text)[-1 if end == 0 else 0] == total
            spans = sorted(r[2 * end : 2 * end + 2] for pair, r in ribbons.items() if pair[end] == name)
            edges = [float(node["y"]), *(edge for span in spans for edge in span), float(node["y"]) + float(node["height"])]
            assert edges[0::2] == pytest.approx(edges[1::2], abs=0.03), name
            middle = float(label["style"].removeprefix("top:").removesuffix("px"))
            assert middle == pytest.approx((edges[0] + edges[-1]) / 2, abs=0.02)
        tops = [float(label["style"].removeprefix("top:").removesuffix("px")) for label in labels]
        assert all(later - earlier >= 20 for earlier, later in pairwise(tops)), "labels that overlap"


def test_habits_and_subscriptions_are_drawn_to_scale(page, marts):
    months = """select month_label, is_complete, {'new_mrr': new_mrr, 'expansion_mrr': expansion_mrr, 'reactivated_mrr': reactivated_mrr,
            'contraction_mrr': contraction_mrr, 'churned_mrr': churned_mrr}
        from subscription_movements where month >= '2024-06-01' order by month"""
    parts = ("reactivated_mrr", "expansion_mrr", "new_mrr"), ("contraction_mrr", "churned_mrr")
    check_columns(section(page, "subscriptions").one("figure"), marts.rows(months), *parts, 220)
    opening, closing, ended, converted = marts.row("""select opening_mrr, closing_mrr, trials_ended, trials_converted
        from subscription_movements where month = '2026-06-01'""")
    shown = numbers(lede(page, "subscriptions"))
    assert close(shown[1], float(closing), 0) and close(shown[2], 100 * float(closing / opening - 1), 1)
    assert shown[3:5] == [converted, ended] and close(shown[5], 100 * converted / ended, 1)

    lines, days = section(page, "habits").all("figure")
    weeks = marts.rows("select dau, wau, mau from habit_metrics where (date '2026-06-30' - metric_date) % 7 = 0 order by metric_date desc limit 53")
    top = axis(lines.one("span", class_="y", style="top:0px").text)
    for name, values in zip(("on the day", "in 7 days", "in 28 days"), zip(*reversed(weeks), strict=True), strict=True):
        drawn = points(next(lines.all("polyline", **{"data-line": name})))
        assert [220 - y for _, y in drawn] == pytest.approx([220 * value / top for value in values], abs=0.01)
    people = [n for (n,) in marts.rows("select people from active_day_histogram where month = '2026-06-01' order by active_days")]
    top = axis(days.one("span", class_="y", style="top:0px").text)
    assert [float(bar["height"]) for bar in days.all("rect")] == pytest.approx([160 * n / top for n in people], abs=0.01)
    known, slipping = marts.row("select count(median_days_between), count_if(is_slipping) from customer_habits")
    shown = numbers(lede(page, "habits"))
    assert shown[0] == weeks[0][2] == sum(people) and shown[2] == weeks[0][0] and shown[-2:] == [known, slipping]


@pytest.mark.parametrize("done", ["delete from", "drop table"])
def test_habits_and_subscriptions_are_there_only_with_rows(published, tmp_path, done):
    """A project may have them empty, or not at all."""
    marts = ("habit_metrics", "customer_habits", "active_day_histogram", "onboarding_cohorts", "subscriptions", "subscription_movements")
    without = changed(published, tmp_path / "without.duckdb", *(f"{done} {mart}" for mart in marts))
    page = Page(made(without, tmp_path)).root
    assert not {"habits", "subscriptions"} & {node["id"] for node in page.all("section")}
    assert not {"#habits", "#subscriptions"} & {node["href"] for node in page.all("a")}


def test_stage_sizes_are_drawn_to_scale(page, marts):
    for panel in section(page, "through-time").all("div", class_="panel"):
        sizes = [n for (n,) in marts.rows(
            f"select sum(people) from stage_transitions where to_stage = '{panel['data-stage']}' group by month order by month desc limit 25"
        )][::-1]  # fmt: skip
        assert numbers(panel.one("b").text) == [sizes[-1]]
        assert [axis(mark.text) for mark in panel.all("span", class_="y")] == [max(sizes), 0]
        drawn = [48 - y for _, y in points(panel.one("polyline"))]
        assert drawn == pytest.approx([48 * float(size) / float(max(sizes)) for size in sizes], abs=0.01)


def test_activity_is_drawn_to_scale(page, marts):
    figure = section(page, "activity").one("figure")
    (passive, active) = figure.all("polygon")
    top = axis(figure.one("span", class_="y", style="top:0px").text)
    days = marts.rows(
        """select metric_date, users, active_users from lifecycle_metrics where metric_date >= date '2024-06-01'
            and day(metric_date + 1) = 1 order by metric_date"""
    )
    height = 220
    upper = points(passive)[: len(days)]
    lower = points(active)[1:-1]
    assert [height - y for _, y in upper] == pytest.approx([height * users / top for _, users, _ in days], abs=0.01)
    assert [height - y for _, y in lower] == pytest.approx([height * active / top for _, _, active in days], abs=0.01)
    span = (days[-1][0] - days[0][0]).days
    assert [x for x, _ in lower] == pytest.approx([1000 * (day - days[0][0]).days / span for day, _, _ in days], abs=0.01)
    assert [numbers(label.text)[0] for label in figure.all("span", class_="end")] == [days[-1][1] - days[-1][2], days[-1][2]]


def check_columns(figure, months, up, down=(), height=240):
    """Stacked columns of [(month label, is_complete, {part: value})], drawn to the scale that the axis says."""
    marks = {float(re.search(r"top:([\d.]+)px", mark["style"])[1]): axis(mark.text) for mark in figure.all("span", class_="y")}
    zero = next(y for y, value in marks.items() if value == 0)
    scale = zero / marks[0.0]
    assert zero == float(figure.one("line", class_="axis")["y1"])
    assert all(value == pytest.approx(abs(zero - y) / scale, rel=0.01) for y, value in marks.items())
    for bar, (label, is_complete, parts) in zip(figure.all("g"), months, strict=True):
        assert bar["data-month"] == label and ("running" in bar.classes) != is_complete
        rects = {rect["data-part"]: (float(rect["y"]), float(rect["height"])) for rect in bar.all("rect")}
        edge = zero
        for part in reversed(up):
            tall = float(parts[part]) * scale
            edge -= tall
            assert rects[part] == pytest.approx((edge, tall), abs=0.02)
        edge = zero
        for part in down:
            tall = float(parts[part]) * scale
            assert rects[part] == pytest.approx((edge, tall), abs=0.02)
            edge += tall
        assert all(close(a, float(parts[part]), 0) for a, part in zip(numbers(bar.one("title").text)[1:], (*up, *down), strict=True))
    assert sorted(numbers(label.text)[0] for label in figure.all("span", class_="end")) == [
        float(value) for value in sorted(round(months[-1][2][part]) for part in (*up, *down)) if value
    ]


def check_growth(page, marts):
    months = marts.rows("select month_label, new, resurrected, churned, is_complete from growth_accounting order by month desc limit 25")[::-1]
    drawn = [(label, is_complete, dict(zip(("new", "resurrected", "churned"), people, strict=True))) for label, *people, is_complete in months]
    check_columns(section(page, "growth").one("figure"), drawn, ("resurrected", "new"), ("churned",))
    return months


def test_money_lists_and_comebacks_are_drawn_to_scale(page, marts):
    net = """select strftime(order_date, '%Y-%m'), true, {'new_revenue': coalesce(sum(net_amount) filter (
            where date_trunc('month', order_date) = date_trunc('month', first_order_date)), 0), 'returning_revenue':
            coalesce(sum(net_amount) filter (where date_trunc('month', order_date) > date_trunc('month', first_order_date)), 0)}
        from orders join customers using (person_id) where order_date >= '2024-06-01' group by 1 order by 1"""
    check_columns(section(page, "money").one("figure"), marts.rows(net), ("new_revenue", "returning_revenue"))
    consents = """select month_label, true, {'opt_ins': sum(opt_ins), 'opt_outs': sum(opt_outs) + sum(unsubscribed),
            'lost': sum(complaints) + sum(hard_bounces) + sum(erased)}
        from consent_changes where channel = 'email' and month >= '2024-06-01' group by 1 order by 1"""
    check_columns(section(page, "list").one("figure"), marts.rows(consents), ("opt_ins",), ("opt_outs", "lost"), 220)
    returns = """select strftime(return_date, '%Y-%m'), true, {'at_risk': count_if(from_stage = 'at_risk'), 'lapsed': count_if(from_stage = 'lapsed')}
        from comebacks where return_date >= '2024-06-01' group by 1 order by 1"""
    check_columns(section(page, "comebacks").one("figure"), marts.rows(returns), ("lapsed", "at_risk"), (), 220)


def test_growth_is_drawn_to_scale(page, marts):
    assert all(month[-1] for month in check_growth(page, marts)), "the demo ends with a month"


def check_cohorts(page, marts):
    """The heat map against cohort_retention; returns the cells of running months."""
    first = marts.row("select min(cohort_month) from (select distinct cohort_month from cohort_retention order by 1 desc limit 24)")[0]
    cells = marts.rows(f"""select strftime(cohort_month, '%b %Y'), cohort_size, period_index, active_customers / cohort_size, is_complete
        from cohort_retention where cohort_month >= '{first}' and period_index <= 12 order by cohort_month desc, period_index""")  # fmt: skip
    top = max(share for *_, period, share, is_complete in cells if period and is_complete)
    average, *table = page.one("table", id="cohorts-table").rows()
    shown, running = [], 0
    for head, size, *shares in table:
        for period, cell in enumerate(cell for cell in shares if cell.text):
            shown.append((head.text, numbers(size.text)[0], period, cell))
    assert len(shown) == len(cells) > 24
    for (label, size, period, cell), (*facts, share, is_complete) in zip(shown, cells, strict=True):
        assert [label, size, period] == facts
        assert equal(cell.text, share, "%0")
        ramp = [name for name in cell.classes if re.fullmatch("q[0-6]", name)]
        if period and is_complete:
            step = int(ramp[0][1])
            assert step * top / 7 - 1e-9 <= share <= (step + 1) * top / 7 + 1e-9
        else:
            assert not ramp, "month 0 and running months are no part of the scale"
        assert ("part" in cell.classes) == cell.text.endswith("*") == (not is_complete)
        running += not is_complete
    for period, cell in enumerate(average[3:], start=1):
        rows = f"from cohort_retention where is_complete and period_index = {period}"
        assert equal(cell.text, marts.row(f"select sum(active_customers) / sum(cohort_size) {rows}")[0], "%0")
    return running


def test_cohort_heat_map(page, marts):
    assert check_cohorts(page, marts) == 0


def test_running_months_are_marked(published, tmp_path):
    """As if the last month were still running."""
    running = changed(
        published,
        tmp_path / "running.duckdb",
        "update growth_accounting set is_complete = false where month = '2026-06-01'",
        "update cohort_retention set is_complete = false where activity_month = '2026-06-01'",
        "update stage_transitions set is_complete = false where month = '2026-06-01'",
    )
    page, marts = Page(made(running, tmp_path)).root, Marts(running)
    assert check_cohorts(page, marts) == 13
    assert not check_growth(page, marts)[-1][-1]
    assert "May 2026:" in lede(page, "growth") and section(page, "flow").one("h2").text.endswith("May 2026")
    assert page.one("table", id="growth-table").rows()[0][0].text == "Jun 2026 running"


def test_rfm_grid(page, marts):
    cells = {(r, f): (segment, n) for r, f, segment, n in marts.rows("select r_score, f_score, segment, customers from rfm_grid")}
    counted = dict(marts.rows("select (r_score, f_score), count(*) from customer_rfm group by all"))
    most = max(counted.values())
    for row, score in zip(page.one("table", id="rfm-table").rows(), (5, 4, 3, 2, 1), strict=True):
        assert row[0].text == f"R {score}"
        for frequency, cell in enumerate(row[1:], start=1):
            segment, people = cells[score, frequency]
            assert people == counted.get((score, frequency), 0) == numbers(main_text(cell))[0]
            assert next(cell.all("small")).text.lower() == segment.replace("_", " ")
            assert cell.classes == [f"q{min(7 * people // most, 6)}"]


def test_return_curve_is_drawn_to_scale(page, marts):
    figure = section(page, "lapse")
    (last,) = marts.row("""select max(days_since_last_order) from return_curve, stage_thresholds
        where days_since_last_order % 7 = 0 and spells >= 30 and days_since_last_order <= 3 * lapsed_after_days""")  # fmt: skip
    curve = dict(marts.rows("select days_since_last_order, came_back / nullif(spells, 0) from return_curve"))
    drawn = points(figure.one("polyline"))
    assert [x for x, _ in drawn] == pytest.approx([1000 * days / last for days in range(0, last + 1, 7)], abs=0.01)
    assert [1 - y / 220 for _, y in drawn] == pytest.approx([curve[days] for days in range(0, last + 1, 7)], abs=0.0001)
    thresholds = marts.row("select at_risk_after_days, lapsed_after_days from stage_thresholds")
    assert [float(mark["x1"]) for mark in figure.all("line", class_="goal")] == pytest.approx([1000 * t / last for t in thresholds], abs=0.01)
    for label, days in zip(figure.all("span", class_="mark"), thresholds, strict=True):
        share, shown = numbers(label.text)
        assert shown == days and close(share, 100 * curve[days], 1)


def test_locations_show_what_the_mart_shows_and_hide_what_it_hides(page, marts):
    latest = "from location_cohorts where month = (select max(month) from location_cohorts)"
    places = [place for (place,) in marts.rows(
        f"select default_location {latest} and default_location not in ('other', 'unknown') group by 1 order by sum(coalesce(users, 0)) desc, 1"
    )]  # fmt: skip
    facts = {(place, extra): rest for place, extra, *rest in marts.rows(
        f"select default_location, extra_locations, users, active_users, is_suppressed {latest}"
    )}  # fmt: skip
    total, *table = page.one("table", id="locations-table").rows()
    assert [row[0].text for row in table] == places[:12]
    hidden = 0
    for place, *cells in table:
        for cell, extra in zip(cells, ("0", "1", "2", "3+"), strict=True):
            users, active, is_suppressed = facts[place.text, extra]
            if is_suppressed:
                hidden += 1
                assert cell.text == "hidden"
            elif not users:
                assert cell.text == "0"
            else:
                assert equal(main_text(cell), active / users, "%0") and numbers(next(cell.all("small")).text) == [users]
    assert hidden > 5, "the demo hides groups"
    for cell, extra in zip(total[1:], ("0", "1", "2", "3+"), strict=True):
        users, active = marts.row(f"select sum(users), sum(active_users) {latest} and extra_locations = '{extra}'")
        assert equal(main_text(cell), active / users, "%0") and numbers(next(cell.all("small")).text) == [users]
    assert f"{len(places) - 12} more locations" in section(page, "locations").text
    users, share = marts.row(f"select users, active_users / users {latest} and default_location = 'other'")
    caption = numbers(page.one("table", id="locations-table").one("caption").text)
    assert caption[-2] == users and close(caption[-1], 100 * share, 1)
    shares = numbers(lede(page, "locations"))
    for shown, extra in zip(shares[0::2], ("0", "1", "2", "3+"), strict=True):
        assert close(shown, 100 * marts.row(f"select sum(active_users) / sum(users) {latest} and extra_locations = '{extra}'")[0], 1)


def test_bars_and_intervals_are_drawn_to_scale(page, marts):
    def width(node):
        return float(re.search(r"width:([\d.]+)%", node["style"])[1])

    most = marts.row("select max(people) from stage_summary")[0]
    for row, (people,) in zip(page.one("table", id="stages-table").rows(), marts.rows("select people from stage_summary order by position"), strict=True):
        assert width(row[3].one("span", class_="bar")) == pytest.approx(100 * people / most, abs=0.01)
    most = marts.row("select max(people) from audience_summary")[0]
    for row, counts in zip(
        page.one("table", id="audiences-table").rows(),
        marts.rows("select people, reachable, to_send from audience_summary order by people desc, audience"),
        strict=True,
    ):
        bars = [width(row[5].one("span", class_=kind)) for kind in ("people", "reachable", "send")]
        assert bars == pytest.approx([100 * n / most for n in counts], abs=0.01)
    low, high = marts.row("select least(0, min(difference_low)), greatest(0, max(difference_high)) from campaign_results")
    for row, (left, middle, right) in zip(
        page.one("table", id="campaigns-table").rows(),
        marts.rows("select difference_low, difference, difference_high from campaign_results where difference is not null order by difference desc"),
        strict=True,
    ):
        drawn = row[4].one("div", class_="interval")
        place = {tag: float(re.search(r"left:([\d.]+)%", drawn.one(tag)["style"])[1]) for tag in ("u", "span", "i")}
        assert place == pytest.approx({"u": 100 * -low / (high - low), "span": 100 * (left - low) / (high - low),
                                       "i": 100 * (middle - low) / (high - low)}, abs=0.02)  # fmt: skip
        assert width(drawn.one("span")) == pytest.approx(100 * (right - left) / (high - low), abs=0.02)


def test_the_page_is_built_for_everybody(page):
    """Language, headings without gaps, a caption and scopes in every table, a name for every drawing."""
    assert page.one("html")["lang"] == "en"
    levels = [int(node.tag[1]) for node in page.all() if re.fullmatch("h[1-6]", node.tag)]
    assert levels[0] == 1 and levels.count(1) == 1 and all(b - a <= 1 for a, b in pairwise(levels))
    tables = list(page.all("table"))
    assert len(tables) == 34
    for table in tables:
        assert len(table.one("caption").text) > 20
        assert all(head["scope"] in ("col", "row") for head in table.all("th"))
        assert all(row[0].tag == "th" for row in table.rows())
    hidden = {drawing for spark in page.all("div", **{"aria-hidden": "true"}) for drawing in spark.all("svg")}
    for drawing in set(page.all("svg")) - hidden:
        assert drawing["role"] == "img" and len(drawing["aria-label"]) > 20
    for region in page.all("div", class_="scroll"):
        assert (region["role"], region["tabindex"]) == ("region", "0") and region["aria-label"]
    ids = [node["id"] for node in page.all() if "id" in node.attributes]
    assert len(ids) == len(set(ids))
    assert {node["href"].removeprefix("#") for node in page.all("a")} <= set(ids)


def test_the_page_needs_nothing_and_runs_nothing(text):
    assert not re.search(r"http|src=|@import|url\(|<script|javascript:|\bon\w+=", text)
    assert len(text.encode()) <= 300_000


def test_nothing_personal_is_in_the_page(text, marts):
    people = marts.rows("select person_id, primary_customer_id, app_user_id, email, phone from customers")
    known = {value for row in people for value in row if value} | {a for (a,) in marts.rows("select address from suppression_list where address is not null")}
    assert len(known) > 5000
    words = set(re.split(r"[^\w@.+-]+", text))
    assert not known & words and "@" not in re.sub(r"@media|@page", "", text)


def test_nothing_that_tells_people_apart_is_read(published, text, tmp_path):
    """Without a single identifying column the page is the same, byte for byte; and so it is the second time."""
    marts = Marts(published)
    models = [model for path in (PROJECT / "models" / "marts").rglob("*.yml") for model in yaml.safe_load(path.read_text()).get("models", [])]
    tables = {table for (table,) in marts.rows("select table_name from information_schema.tables")}
    drops = [f'alter table {model["name"]} drop column "{column["name"]}"' for model in models if model["name"] in tables
             for column in model.get("columns", ()) if column["config"]["meta"]["pii"] != "none"]  # fmt: skip
    assert len(drops) > 25 and "alter table comebacks drop column \"person_id\"" in drops
    without = changed(published, tmp_path / "groups.duckdb", *drops)
    assert made(without, tmp_path) == made(published, tmp_path) == text


def test_small_groups_are_added_to_the_others(published, tmp_path):
    """Three people in one country, and two in another."""
    few = changed(
        published,
        tmp_path / "few.duckdb",
        "update customers set country = case when rowid % 2 = 0 then 'IS' else 'MT' end where rowid in (select rowid from customers where stage = 'loyal' order by person_id limit 4)",
    )
    names = [row[0].text for row in Page(made(few, tmp_path)).root.one("table", id="country-table").rows()]
    assert "Other" in names and not {"IS", "MT"} & set(names)


def test_the_order_of_rows_does_not_matter(published, text, tmp_path):
    tables = [table for (table,) in Marts(published).rows("select table_name from information_schema.tables")]
    shuffled = changed(
        published,
        tmp_path / "shuffled.duckdb",
        *(f"create or replace table {table} as select * from {table} order by hash({table}::varchar)" for table in tables),
    )
    assert made(shuffled, tmp_path) == text


def test_names_are_text_whatever_is_in_them(published, tmp_path):
    first, quote, hebrew, arabic, emoji = NASTY
    dirty = changed(
        published,
        tmp_path / "dirty.duckdb",
        ("update campaign_results set campaign_name = ? where audience = 'lapsed'", [first]),
        ("update campaign_results set audience = ? where audience = 'at_risk'", [arabic]),
        ("update campaign_results set audience = ? where audience = 'win_back'", [quote]),
        ("update audience_summary set audience = ?, purpose = ? where audience = 'lapsed'", [first, quote]),
        ("update audience_summary set audience = ?, purpose = ? where audience = 'champions'", [hebrew, emoji]),
        ("update location_cohorts set default_location = ? where default_location = 'Berlin'", [first]),
        ("update location_cohorts set default_location = ? where default_location = 'Paris'", [hebrew]),
        ("update location_cohorts set default_location = ? where default_location = 'London'", [arabic]),
        ("update location_cohorts set default_location = ? where default_location = 'Wien'", [emoji]),
        ("update touchpoint_gaps set label = ? where activity = 'newsletter'", [quote]),
        ("update rejected_reasons set reason = ? where reason like 'order_id%'", [first + "\x00\x1b\x85"]),
        ("update build_settings set sources = ?, reporting_currency = ?", [quote, first]),
    )
    text = made(dirty, tmp_path)
    page = Page(text).root
    names = {"campaigns": {first, arabic, quote}, "audiences": {first, quote, hebrew, emoji},
             "locations": {first, hebrew, arabic, emoji}, "touchpoints": {quote}, "data": {first + "   "}}  # fmt: skip
    for where, expected in names.items():
        assert expected <= {node.raw_text for node in section(page, where).all("bdi")}, where
    assert "<script" not in text and not list(page.all("script")) and "49" not in {n.text for n in page.all("bdi")}
    assert page.one("footer").text.startswith(f"Sources in use: {quote}.")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)


def test_long_lists_are_cut_and_say_so(published, tmp_path):
    """A hundred times as many audiences, campaigns, activities, reasons and locations, with long names."""
    many = "insert into {0} select {0}.* replace ({1} || ' ' || copy || repeat('x', 80) as {1}) from {0}, range(1, 100) copies (copy)"
    names = {"audience_summary": "audience", "campaign_results": "audience", "touchpoint_gaps": "label",
             "rejected_reasons": "reason", "location_cohorts": "default_location"}  # fmt: skip
    long = changed(published, tmp_path / "long.duckdb", *(many.format(table, name) for table, name in names.items()))
    text, marts = made(long, tmp_path), Marts(long)
    page = Page(text).root
    for name, rows, where in (
        ("audiences", "audience_summary", "true"),
        ("campaigns", "campaign_results", "difference is not null"),
        ("rejected", "rejected_reasons", "true"),
    ):
        assert len(page.one("table", id=f"{name}-table").rows()) == 40, name
        rest = marts.row(f"select count(*) - 40 from {rows} where {where}")[0]
        notes = [note.text for note in section(page, "data" if name == "rejected" else name).all("p", class_="note")]
        assert any(note.startswith(f"{rest:,} ") and f"the mart {rows}" in note for note in notes), notes
    assert "and 60 more." in section(page, "campaigns").text
    assert len(list(page.one("div", id="touchpoints-lists").all("li"))) == 40 and "are in the mart touchpoint_gaps" in section(page, "touchpoints").text
    assert len(text.encode()) <= 300_000


@pytest.fixture(scope="module")
def orders_only(tmp_path_factory):
    folder = tmp_path_factory.mktemp("orders_only")
    raw = PROJECT / "tests" / "fixtures" / "orders"
    dbt("build", "--exclude-resource-type", "unit_test", raw=raw, warehouse=folder / "lifecycle.duckdb", variables=ORDERS_ONLY)
    path = folder / "customer_lifecycle.duckdb"
    done = script("publish.py", "--warehouse", folder / "lifecycle.duckdb", "--published", path)
    assert done.returncode == 0, done.stderr
    return path


def test_with_one_order_only_empty_sections_say_why(orders_only, tmp_path):
    page = Page(made(orders_only, tmp_path)).root
    why = {node["id"]: [p.text for p in node.all("p", class_="empty")] for node in page.all("section")}
    assert {name for name, reasons in why.items() if reasons} == {
        "changes", "next", "campaigns", "list", "touchpoints", "values", "comebacks", "lapse", "products", "groups", "locations"
    }
    assert "no app user" in why["locations"][0]
    assert "come from the ESP (sources in use: orders_file)" in why["touchpoints"][0]
    assert "people held out" in why["campaigns"][1] and "needs 30" in why["lapse"][0]
    assert lede(page, "audiences").startswith("Nobody can be reached: the sources in use (orders_file) do not say")
    assert "these are defaults" in page.one("table", id="stages-table").one("caption").text
    values = {tile["data-metric"]: tile.one("p", class_="value").text for tile in page.all("div", class_="tile")}
    assert values["value_per_customer"] == "CHF 1.00" and values["loyal_customer_rate"] == "–"
    check_growth(page, Marts(orders_only))
    assert page.one("table", id="growth-table").rows()[0][0].text == "Apr 2024 running"
    assert lede(page, "growth") == "March 2024: 0 new and 0 resurrected customers against 0 churned."


READ = ("habit_metrics", "active_day_histogram", "onboarding_cohorts", "customer_habits", "subscriptions", "subscription_movements",
        "rfm_transitions", "consent_changes", "customer_campaign_facts", "cohort_value", "comebacks", "products", "customers",
        "campaign_engagement", "lifecycle_metrics", "metric_health", "rfm_grid", "stage_summary", "stage_thresholds", "stage_transitions", "growth_accounting",
        "cohort_retention", "return_curve", "location_cohorts", "touchpoint_gaps", "audience_summary", "campaign_results",
        "source_tables", "rejected_reasons", "build_settings")  # fmt: skip
NEEDED = {"lifecycle_metrics", "stage_summary", "stage_thresholds", "build_settings"}


def test_an_empty_mart_empties_its_section_or_is_said_in_one_line(published, tmp_path):
    for mart in READ:
        done = report(changed(published, tmp_path / "empty.duckdb", f"delete from {mart}"), tmp_path / "report.html")
        assert (done.returncode, mart) == (3 if mart in NEEDED else 0, mart), done.stderr
        assert "Traceback" not in done.stderr
    everything = changed(published, tmp_path / "empty.duckdb", *(f"delete from {mart}" for mart in READ if mart not in NEEDED))
    page = Page(made(everything, tmp_path)).root
    filled = {node["id"] for node in page.all("section") if not list(node.all("p", class_="empty"))}
    assert filled == {"key-figures", "stages", "activity"}


def test_what_cannot_be_reported_is_said_in_one_line(published, tmp_path):
    out = tmp_path / "report.html"
    foreign = tmp_path / "foreign.duckdb"
    foreign.write_text("customer_id,ordered_at,amount\n")
    empty = tmp_path / "empty.duckdb"
    duckdb.connect(str(empty)).close()
    for source, code, words in (
        (tmp_path / "none.duckdb", 3, ["there is no published file", "make build"]),
        (foreign, 3, ["cut off or damaged, or no such file at all", "make build"]),
        (empty, 3, ["lacks what the report needs", "make build"]),
        (changed(published, tmp_path / "a.duckdb", "drop table source_tables"), 3, ["source_tables", "make build"]),
        (changed(published, tmp_path / "b.duckdb", "alter table rfm_grid drop column net_revenue"), 3, ["net_revenue", "make build"]),
    ):
        done = report(source, out)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1), done.stderr
        assert done.stderr.startswith("report: ") and all(word in done.stderr for word in words), done.stderr
    assert report(published, tmp_path).returncode == 2
    assert script("report.py", "--to", out).returncode == 2
    assert not out.exists()
    assert report(published, out).returncode == 0
    before = out.read_bytes()
    assert report(empty, out).returncode == 3
    assert out.read_bytes() == before, "the last good report stays"
    with duckdb.connect(str(tmp_path / "a.duckdb")):
        assert report(tmp_path / "a.duckdb", out).returncode == 75


def test_where_the_page_lands_and_who_may_read_it(published, tmp_path):
    folder = tmp_path / "published"
    folder.mkdir()
    shutil.copy(published, folder / "customer_lifecycle.duckdb")
    before = (folder / "customer_lifecycle.duckdb").stat().st_mtime_ns
    done = script("report.py", LIFECYCLE_PUBLISHED=folder / "customer_lifecycle.duckdb")
    out = folder / "report.html"
    assert done.returncode == 0 and str(out) in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["customer_lifecycle.duckdb", "report.html"]
    assert (folder / "customer_lifecycle.duckdb").stat().st_mtime_ns == before
    assert out.stat().st_mode & 0o777 == 0o600
    out.chmod(0o644)
    inode = out.stat().st_ino
    assert script("report.py", "--from", folder / "customer_lifecycle.duckdb").returncode == 0
    assert out.stat().st_mode & 0o777 == 0o644, "opened to others once, it stays open"
    assert out.stat().st_ino != inode, "swapped in whole"


def test_the_page_has_no_clock(text, marts):
    assert marts.row("select as_of_date from build_settings") == (date(2026, 6, 30),)
    years = {int(year) for year in re.findall(r"\b(20\d\d)\b", re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL))}
    assert "As of <b>30 June 2026</b>" in text and max(years) == 2026


def test_money_is_rounded_only_for_display(marts, page):
    gross = marts.rows("select gross_revenue from stage_summary order by position")
    assert all(isinstance(amount, Decimal) for (amount,) in gross)
    shown = [row[4].text for row in page.one("table", id="stages-table").rows()]
    assert shown == [f"{amount.quantize(Decimal(1), ROUND_HALF_UP):,}".replace("-", "−") for (amount,) in gross]


@pytest.mark.parametrize(("amount", "digits", "shown"), [
    ("0.5", 0, "1"), ("2.5", 0, "3"), ("-2.5", 0, "-3"), ("2.675", 2, "2.68"), ("1234567.4999", 0, "1,234,567"),
    ("999999999999.995", 2, "1,000,000,000,000.00"), ("12", 2, "12.00"),
])  # fmt: skip
def test_halves_are_rounded_up(amount, digits, shown):
    assert common.rounded(Decimal(amount), digits) == shown
