"""Every query of docs/questions.md gives the answer that the page shows, and the one that plain Python finds in the raw files."""

import csv
import re
from collections import Counter, defaultdict
from datetime import date, timedelta
from decimal import Decimal
from statistics import mean, median

import pytest

import shop_answers
from habit_answers import Habits
from oracle import percentile
from support import PROJECT, Warehouse

PAGE = (PROJECT / "docs" / "questions.md").read_text()
QUESTION = re.compile(r"^## (\w+)\. .*?```sql\n(.*?)```\n\n(.*?)\n(?=\n|\Z)", re.MULTILINE | re.DOTALL)
QUESTIONS = {number: (query, shown) for number, query, shown in QUESTION.findall(PAGE)}
RHYTHM, DISUSE, SLIPS = 5, 6, 8  # places in a row of habits
MONTHS = [date(2026, month, 1) for month in (4, 5, 6)]  # the last three of the demo, all complete


def month_of(day):
    return f"{day:%Y-%m}"


def grouped(pairs):
    groups = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return groups


def money(values):
    return sum(values, Decimal(0))


class Answers:
    """The answers by the numbers of the page, each a list of rows."""

    def __init__(self, shop):
        self.shop, self.habits = shop, Habits(shop)
        self.customers = {person: shop.baskets[person] for person in shop.first_seen if shop.baskets[person]}
        self.known = [order for order in shop.orders if order["person_id"]]
        self.raw = {row["order_id"]: row for row in shop.orders_raw}
        self.seconds = {
            person: (basket[1]["order_date"] - basket[0]["order_date"]).days
            for person, basket in self.customers.items()
            if len(basket) > 1
        }
        self.lapsed = [person for person in self.customers if shop.stage(person) == "lapsed"]
        self.comebacks = shop_answers.comebacks(shop)
        self.dates = {order["order_id"]: order["order_date"] for order in shop.orders}

    def profile(self, person, name):
        return "unknown" if person in self.shop.erased else self.shop.profiles[person][name] or "unknown"

    def answer_1(self):
        groups = grouped(
            ((self.profile(person, "acquisition_channel"), basket[0]["order_date"].year), self.seconds.get(person, 10**6) <= 180)
            for person, basket in self.customers.items()
            if basket[0]["order_date"] + timedelta(180) <= self.shop.as_of
        )
        return [(*key, len(came), mean(came)) for key, came in sorted(groups.items()) if len(came) >= 20]

    def answer_2(self):
        baskets = [basket for basket in self.customers.values() if month_of(basket[0]["order_date"]) == "2025-06"]
        return [("2025-06", len(baskets), money(order["net_amount"] for basket in baskets for order in basket))]

    def answer_3(self):
        with (PROJECT / "seeds" / "rfm_segments.csv").open() as file:
            areas = [{key: value for key, value in row.items() if value} for row in csv.DictReader(file)]
        counts = []
        for day in (date(2026, 5, 31), date(2026, 6, 30)):
            scores = [row[3:5] for row in self.shop.rfm(day).values()]
            counts.append(Counter(segment_of(areas, *score) for score in scores))
        before, now = counts
        rows = [(segment, now[segment], now[segment] - before[segment]) for segment in now | before]
        return sorted(rows, key=lambda row: (-row[2], row[0]))

    def answer_4a(self):
        back = grouped((month_of(self.dates[order]), row[2]) for order, row in self.comebacks.items() if row[1] == "lapsed")
        return [(month_of(month), len(back[month_of(month)]), mean(back[month_of(month)])) for month in MONTHS]

    def answer_4b(self):
        names = {row["campaign_id"]: row["campaign_name"] for row in self.shop.raw["esp/campaigns"]} | {None: "none"}
        back = grouped(
            (names[row[4]], row[6]) for order, row in self.comebacks.items()
            if row[1] == "lapsed" and self.dates[order] > date(2025, 6, 30)
        )  # fmt: skip
        return [(name, len(own), sum(own)) for name, own in sorted(back.items(), key=lambda pair: (-len(pair[1]), pair[0]))]

    def answer_5(self):
        cells = self.shop.cohort_values("month and acquisition_channel")
        return [
            (*cohort.split(" / "), row[1], row[5])
            for (cohort, age), row in sorted(cells.items())
            if age == 90 and row[1] and cohort >= "2026-02"
        ]

    def answer_6(self):
        waits = list(self.seconds.values())
        return [(len(waits), *(percentile(waits, share) for share in (0.25, 0.5, 0.75, 0.9)))]

    def answer_7(self):
        values = sorted((money(order["net_amount"] for order in basket) for basket in self.customers.values()), reverse=True)
        best = values[: -(-len(values) // 10)]
        return [(len(best), money(best), float(money(best) / money(values)))]

    def answer_8(self):
        names = {row["product_id"]: row["product_name"] for row in self.shop.raw["shop/products"]}
        found = shop_answers.products(self.shop)
        rows = [(names[product], row[10], row[11], row[9]) for product, row in found.items() if row[10] >= 20]
        return sorted(rows, key=lambda row: (-row[2], row[0]))[:5]

    def answer_9(self):
        groups = grouped((self.profile(person, "country"), person in set(self.lapsed)) for person in self.customers)
        rows = [(country, len(gone), mean(gone)) for country, gone in groups.items()]
        return sorted(rows, key=lambda row: (-row[1], row[0]))[:6]

    def answer_10(self):
        shares = [
            mean(order["discount_amount"] > 0 for order in basket) for basket in self.customers.values() if len(basket) > 1
        ]
        return [(len(shares), mean(share == 1 for share in shares), mean(share == 0 for share in shares))]

    def answer_11(self):
        sales = grouped(
            ((month_of(order["order_date"]), order["order_number"] == 1), order["net_amount"]) for order in self.known
        )
        return [(month_of(month), *(money(sales[month_of(month), is_new]) for is_new in (True, False))) for month in MONTHS]

    def answer_12(self):
        sales = grouped((order["order_number"], order["net_amount"]) for order in self.known)
        return [(number, len(sales[number]), money(sales[number]) / len(sales[number])) for number in range(1, 6)]

    def answer_13(self):
        return [(len(self.lapsed), sum(self.shop.reach(person, "email")[0] for person in self.lapsed))]

    def answer_14(self):
        orders = self.shop.orders
        sold = money(order["gross_amount"] - order["discount_amount"] for order in orders)
        return [(float(money(order["refunded_amount"] for order in orders) / sold),)]

    def answer_15(self):
        rows, bought = [], grouped((month_of(order["order_date"]), order["person_id"]) for order in self.known)
        for month in reversed(MONTHS):
            now, before = set(bought[month_of(month)]), set(bought[month_of(month - timedelta(1))])
            new = {person for person in now if month_of(self.customers[person][0]["order_date"]) == month_of(month)}
            back, lost = now - before - new, before - now
            rows.append((month_of(month), len(new), len(back), len(lost), (len(new) + len(back)) / len(lost)))
        return rows

    def answer_17(self):
        return [("lapsed", 0, 0, "not measured", None, None)]  # the demo's build has no state: nobody was ever assigned

    def answer_18(self):
        used = grouped((self.raw[order["order_id"]]["coupon_code"], order) for order in self.shop.orders)
        rows = [
            (coupon, len(own), *(money(order[amount] for order in own) for amount in ("discount_amount", "net_amount")))
            for coupon, own in used.items()
            if coupon
        ]
        return sorted(rows, key=lambda row: (-row[1], row[0]))

    def answer_19(self):
        totals = defaultdict(lambda: [Decimal(0)] * 11)
        for (campaign, _), row in shop_answers.campaign_engagement(self.shop, month_of).items():
            totals[campaign] = [sum_ + cell for sum_, cell in zip(totals[campaign], row, strict=True)]
        rows = []
        for campaign in self.shop.raw["esp/campaigns"]:
            if campaign["campaign_id"] in totals:
                sent, delivered, opened, clicked, _, unsubscribed, _, orders, revenue, *_ = totals[campaign["campaign_id"]]
                about = campaign["campaign_type"], campaign["campaign_name"]
                rates = opened / delivered, clicked / delivered
                rows.append((*about, sent, *rates, unsubscribed, orders, revenue / delivered))
        return sorted(rows, key=lambda row: (row[0], -row[2]))

    def answer_20(self):
        flows = shop_answers.consent_changes(self.shop)
        rows = []
        for month in reversed(MONTHS):
            own = [row for (of, channel, _), row in flows.items() if of == month and channel == "email"]
            in_, out, *suppressed, net, stock = (sum(cells) for cells in zip(*own, strict=True))
            rows.append((month_of(month), in_, out, sum(suppressed), net, stock))
        return rows

    def answer_21(self):
        habits = [(self.shop.stage(person), row) for person, row in self.habits.customer_habits().items()]
        rows = []
        for stage in {stage for stage, _ in habits}:
            known = [row for of, row in habits if of == stage and row[RHYTHM] is not None]
            away = [row[DISUSE] for row in known if row[SLIPS]]
            if known:
                rows.append((stage, len(known), len(away), len(away) / len(known), median(away) if away else None))
        return sorted(rows, key=lambda row: (-row[2], row[0]))

    def answer_22(self):
        totals = defaultdict(lambda: [0, 0])
        for (month, kind, name), (_, position, _, mature, done, *_) in self.habits.onboarding_cohorts().items():
            if month > date(2025, 6, 30):
                totals[kind, position, name][0] += done
                totals[kind, position, name][1] += mature
        order = ("step", "onboarding_completed", "feature")
        return [
            (kind, name, done, newcomers, done / newcomers)
            for (kind, _, name), (done, newcomers) in sorted(totals.items(), key=lambda item: (order.index(item[0][0]), item[0]))
        ]

    def answer_23(self):
        metrics = self.habits.habit_metrics()
        return [(day, *metrics[day]) for day in (date(2026, 6, 30), date(2026, 5, 31), date(2026, 4, 30), date(2026, 3, 31))]


def segment_of(areas, r, f):
    (segment,) = (
        area["segment"]
        for area in areas
        if int(area["r_min"]) <= r <= int(area["r_max"]) and int(area["f_min"]) <= f <= int(area["f_max"])
    )
    return segment


@pytest.fixture(scope="module")
def marts(published_demo):
    return Warehouse(published_demo)


@pytest.fixture(scope="module")
def answers(demo_shop):
    return Answers(demo_shop)


def as_table(rows):
    """Rows, each a dictionary, as the page shows them."""
    lines = [list(rows[0]), ["---"] * len(rows[0])]
    lines += [["" if cell is None else str(cell) for cell in row.values()] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def is_same(found, expected):
    """A rounded number is the expected one to half of its last digit; everything else is equal."""
    if isinstance(expected, float) or (isinstance(found, float) and expected is not None):
        digits = len(str(found).partition(".")[2])
        return abs(float(found) - float(expected)) <= 0.5001 * 10**-digits if found is not None else False
    if isinstance(found, Decimal) and isinstance(expected, Decimal):
        return abs(found - expected) <= Decimal("0.5001").scaleb(found.as_tuple().exponent)
    return found == expected


def test_the_page_asks_what_people_ask():
    assert list(QUESTIONS) == ["1", "2", "3", "4a", "4b", *map(str, range(5, 24))]
    assert all("marts." in query and "intermediate." not in query for query, _ in QUESTIONS.values())


@pytest.mark.parametrize("number", QUESTIONS)
def test_the_page_shows_the_answer(marts, number):
    query, shown = QUESTIONS[number]
    assert as_table(marts.dicts(query)) == shown


@pytest.mark.parametrize("number", [number for number in QUESTIONS if number != "16"])
def test_the_raw_files_give_the_same_answer(marts, answers, number):
    rows = marts.rows(QUESTIONS[number][0])
    expected = getattr(answers, f"answer_{number}")()
    assert len(rows) == len(expected) and rows
    for row, right in zip(rows, expected, strict=True):
        assert len(row) == len(right) and all(map(is_same, row, right)), f"{row} should be {right}"


def test_actions_are_counted_by_person(marts):
    """Question 16: which action is right is told by the playbook's own tests."""
    counts = Counter(marts.rows("select next_best_action, next_best_channel from marts.customer_campaign_facts"))
    expected = sorted(((*key, people) for key, people in counts.items()), key=lambda row: (-row[2], row[0], row[1]))
    assert marts.rows(QUESTIONS["16"][0]) == expected[:5]
