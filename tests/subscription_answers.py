"""What the marts should say of subscriptions, in plain Python from the raw files (shop_oracle.Shop), day by day."""

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from statistics import median

import oracle
from oracle import ten_thousandths

PAYMENTS_A_YEAR = {"week": 52, "month": 12, "quarter": 4, "year": 1}
OVER = {"cancelled", "canceled", "ended", "expired"}
MOVEMENTS = ("new", "expansion", "contraction", "churned", "reactivated")


class Subscription:
    def __init__(self, shop, row):
        def by_then(name):
            moment = shop.wall(row[name])
            return moment if moment and moment < shop.end else None

        self.id, self.plan, self.status = row["subscription_id"], row["plan"], row["status"]
        self.person = shop.person_of.get(("shop", row["customer_id"]))
        self.subscriber = self.person or self.id
        self.started = shop.wall(row["started_at"])
        self.start = self.started.date()
        trial = shop.wall(row["trial_ends_at"])
        self.trial_end = trial.date() if trial and trial.date() > self.start else None
        self.paused, self.cancelled = by_then("paused_at"), by_then("cancelled_at")
        price = Fraction(row["price"]) * Fraction(shop.rate(row["currency"], self.start)) * PAYMENTS_A_YEAR[row["interval"]]
        self.price = ten_thousandths(price / 12)
        self.as_of = shop.as_of

    def pays_on(self, day):
        """At the end of a day."""
        stops = [moment.date() for moment in (self.paused, self.cancelled) if moment]
        return (self.trial_end or self.start) <= day <= self.as_of and all(day < stop for stop in stops)

    def paid_days(self):
        begin = self.trial_end or self.start
        return [day for n in range((self.as_of - begin).days + 1) if self.pays_on(day := begin + timedelta(n))]

    def trial_over(self):
        """The day on which a trial was over; None while it runs or without one."""
        ends = [self.trial_end, self.cancelled and self.cancelled.date()] if self.trial_end else []
        day = min((end for end in ends if end), default=date.max)
        return day if day <= self.as_of else None


def is_taken(row, currencies):
    if row["interval"] not in PAYMENTS_A_YEAR or Decimal(row["price"]) < 0 or (row["currency"] or "EUR") not in currencies:
        return False
    lacks_end = row["status"] in OVER and not row["cancelled_at"]
    return not lacks_end and not (row["cancelled_at"] and row["cancelled_at"] < row["started_at"])


def taken(shop):
    """Those that can be read and began by as_of."""
    currencies = {"EUR", *shop.rates}
    every = [Subscription(shop, row) for row in shop.raw["shop/subscriptions"] if is_taken(row, currencies)]
    return [one for one in every if one.started < shop.end]


def subscriptions(shop, upgrade_after=60):
    """subscription id -> its row, but for the times that are the raw file's own"""
    known = [one for one in taken(shop) if one.person not in shop.erased]
    active = [one for one in known if one.pays_on(shop.as_of)]
    prices, payers, plans = defaultdict(list), defaultdict(set), defaultdict(set)
    for one in active:
        prices[one.plan].append(one.price)
        payers[one.plan].add(one.person)
        plans[one.person].add(one.plan)
    ladder = {plan: ten_thousandths(Fraction(sum(own)) / len(own)) for plan, own in prices.items()}
    days = app_days(shop)
    rows = {}
    for one in known:
        dearer = [(price, plan) for plan, price in ladder.items() if one.plan in ladder and price > ladder[one.plan]]
        following = min(dearer)[1] if dearer else None
        paid = one.paid_days()
        own = len(days[one.person])
        wants_more = (
            one in active and following is not None and (shop.as_of - paid[0]).days >= upgrade_after and own > 0
            and own >= median(len(days[person]) for person in payers[following])
            and not any(ladder[plan] > ladder[one.plan] for plan in plans[one.person])
        )  # fmt: skip
        over = one.trial_over()
        rows[one.id] = (
            one.person, one.plan, one.status, one.price, one.started, paid[0] if paid else None, one.paused, one.cancelled,
            one.trial_end is not None and over is None, one in active, bool(paid) if over else None, following, wants_more,
        )  # fmt: skip
    return rows


def app_days(shop, days=30):
    """person -> days of the last 30 on which they used the app"""
    found = defaultdict(set)
    for row in shop.raw["app/events"]:
        day = shop.wall(row["occurred_at"]).date()
        if shop.as_of - timedelta(days) < day <= shop.as_of:
            found[shop.person_of.get(("app", row["user_id"]))].add(day)
    return found


def movements(shop):
    """month -> its row of subscription_movements but for its label"""
    known = taken(shop)
    first_paid = {}
    for one in known:
        for day in one.paid_days()[:1] if one.price else ():
            first_paid[one.subscriber] = min(day, first_paid.get(one.subscriber, day))
    rows, before = {}, defaultdict(Decimal)
    for month, end in oracle.month_ends(min(one.start for one in known), shop.as_of).items():
        now = defaultdict(Decimal)
        for one in known:
            if one.pays_on(end):
                now[one.subscriber] += one.price
        amounts, people = defaultdict(Decimal), defaultdict(int)
        for person in now.keys() | before.keys():
            was, is_ = before[person], now[person]
            if was == is_:
                continue
            if was and is_:
                kind = "expansion" if is_ > was else "contraction"
            else:
                kind = "churned" if was else "new" if first_paid[person] >= month else "reactivated"
            amounts[kind] += abs(is_ - was)
            people[kind] += 1
        over = [one for one in known if one.trial_over() and month <= one.trial_over() <= end]
        converted = sum(bool(one.paid_days()) for one in over)
        rows[month] = (
            sum(before.values(), Decimal(0)), *(amounts[kind] for kind in MOVEMENTS), sum(now.values(), Decimal(0)),
            sum(amount > 0 for amount in now.values()), people["new"], people["churned"], people["reactivated"],
            sum(one.trial_end is not None and month <= one.start <= end for one in known), len(over), converted,
            converted / len(over) if over else None, (end + timedelta(1)).day == 1,
        )  # fmt: skip
        before = now
    return rows
