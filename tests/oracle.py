"""The definitions once more in plain Python, without SQL: what the marts are compared with.

An order is (customer, day, amount); days are dates, amounts decimals.
"""

import math
from collections import Counter, defaultdict
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction


def ten_thousandths(number):
    """Money of any exact number: four decimals, halves away from zero."""
    units = math.floor(abs(Fraction(number)) * 10**4 + Fraction(1, 2))
    return Decimal(-units if number < 0 else units).scaleb(-4)


def month(day):
    return day.replace(day=1)


def months_between(first, last):
    return 12 * (last.year - first.year) + last.month - first.month


def month_ends(first, last):
    """The last day of every month from the first day's to the last day, which ends the running month."""
    months = [
        date(first.year + n // 12, n % 12 + 1, 1)
        for n in range(first.month - 1, first.month + months_between(first, last))
    ]
    return {start: min((start + timedelta(31)).replace(day=1) - timedelta(1), last) for start in months}


def order_days(orders):
    days = defaultdict(list)
    for customer, day, _ in orders:
        days[customer].append(day)
    return {customer: sorted(own) for customer, own in days.items()}


def rfm(orders, as_of):
    """customer -> (recency in days, frequency, monetary)"""
    spent = defaultdict(int)
    for customer, _, amount in orders:
        spent[customer] += amount
    return {c: ((as_of - own[-1]).days, len(own), spent[c]) for c, own in order_days(orders).items()}


def percentile(values, share):
    """Linear interpolation between the two nearest ranks."""
    values = sorted(map(float, values))
    position = (len(values) - 1) * share
    low = int(position)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (position - low)


def rfm_scores(facts):
    """customer -> (R, F, M), 5 is best"""
    scores = {customer: [] for customer in facts}
    for index, falls_below in enumerate((True, False, False)):
        values = [row[index] for row in facts.values()]
        cuts = [percentile(values, share) for share in (0.2, 0.4, 0.6, 0.8)]
        for customer, row in facts.items():
            value = float(row[index])
            beaten = sum(value < cut if falls_below else value > cut for cut in cuts)
            scores[customer].append(5 if falls_below and min(values) == max(values) else 1 + beaten)
    return {customer: tuple(row) for customer, row in scores.items()}


def cohort_months(orders, as_of):
    """(cohort month, period) -> (size, active customers, orders, revenue), empty cells included"""
    first = {customer: days[0] for customer, days in order_days(orders).items()}
    sizes = Counter(month(day) for day in first.values())
    active, count, revenue = defaultdict(set), Counter(), defaultdict(int)
    for customer, day, amount in orders:
        cell = month(first[customer]), months_between(first[customer], day)
        active[cell].add(customer)
        count[cell] += 1
        revenue[cell] += amount
    return {
        (cohort, period): (size, len(active[cohort, period]), count[cohort, period], revenue[cohort, period])
        for cohort, size in sizes.items()
        for period in range(months_between(cohort, as_of) + 1)
    }


def cohort_windows(orders, as_of, days=30):
    """(cohort month, window) -> (size, active, mature, active and mature)"""
    cells = defaultdict(lambda: [0, 0, 0, 0])
    everybody = order_days(orders)
    starts = {}
    for own in everybody.values():
        starts[month(own[0])] = min(own[0], starts.get(month(own[0]), own[0]))
    for own in everybody.values():
        cohort, bought = month(own[0]), {(day - own[0]).days // days for day in own}
        for window in range((as_of - starts[cohort]).days // days + 1):
            mature = own[0] + timedelta(days * (window + 1) - 1) <= as_of
            for position, holds in enumerate((True, window in bought, mature, mature and window in bought)):
                cells[cohort, window][position] += holds
    return {key: tuple(cell) for key, cell in cells.items()}


def cohort_values(orders, as_of, cohort_of, ages=(0, 30, 60, 90, 180, 360, 720)):
    """(cohort, age in days) -> (customers, those old enough, their revenue up to that age); cohort_of(customer, first day)"""
    cells = defaultdict(lambda: [0, 0, 0])
    baskets = defaultdict(list)
    for customer, day, amount in orders:
        baskets[customer].append((day, amount))
    for customer, basket in baskets.items():
        first = min(day for day, _ in basket)
        for age in ages:
            cell = cells[cohort_of(customer, first), age]
            end = first + timedelta(age)
            cell[0] += 1
            if end <= as_of:
                cell[1] += 1
                cell[2] += sum(amount for day, amount in basket if day <= end)
    return {key: tuple(cell) for key, cell in cells.items()}


def active_customers(orders, day, days=30):
    first = day - timedelta(days - 1)
    return len({customer for customer, ordered, _ in orders if first <= ordered <= day})


def gap_percentiles(orders, as_of):
    """(80th, 95th percentile) of the gaps between order days that closed before as_of's month"""
    gaps = [
        (later - earlier).days
        for own in order_days(orders).values()
        for earlier, later in zip(sorted(set(own)), sorted(set(own))[1:], strict=False)
        if later < month(as_of)
    ]
    return percentile(gaps, 0.8), percentile(gaps, 0.95)


def stage(own_order_days, as_of, at_risk, lapsed, loyal_min_orders=3):
    """The stage of a customer with orders on these days."""
    own = sorted(day for day in own_order_days if day <= as_of)
    distinct = sorted(set(own))
    since = (as_of - own[-1]).days
    last_gap = (distinct[-1] - distinct[-2]).days if len(distinct) > 1 else 0
    if len(own) >= 2 and last_gap > lapsed and since <= min(30, at_risk):
        return "reactivated"
    if len(own) == 1 and since <= min(30, at_risk):
        return "new"
    if since > lapsed:
        return "lapsed"
    if since > at_risk:
        return "at_risk"
    if len(own) >= loyal_min_orders:
        return "loyal"
    return "repeat" if len(own) >= 2 else "one_time"


def growth(orders, as_of):
    """month -> (active, new, retained, resurrected, churned, revenue, and that of the new, the resurrected, expansion,
    contraction and the churned)"""
    spent = defaultdict(lambda: defaultdict(int))
    for customer, day, amount in orders:
        spent[month(day)][customer] += amount
    first = {customer: month(days[0]) for customer, days in order_days(orders).items()}
    rows, before = {}, {}
    for current in month_ends(min(day for _, day, _ in orders), as_of):
        now = spent[current]
        new = {c for c in now if first[c] == current}
        retained = set(now) & set(before)
        back = set(now) - new - retained
        gone = set(before) - set(now)
        rows[current] = (
            *(len(group) for group in (now, new, retained, back, gone)),
            sum(now.values()),
            sum(now[c] for c in new),
            sum(now[c] for c in back),
            sum(max(now[c] - before[c], 0) for c in retained),
            sum(max(before[c] - now[c], 0) for c in retained),
            sum(before[c] for c in gone),
        )
        before = now
    return rows


def transitions(orders, as_of, at_risk, lapsed):
    """(month, stage a month end before or first_seen, stage at its end) -> customers"""
    counts = Counter()
    for own in order_days(orders).values():
        before = "first_seen"
        for start, end in month_ends(own[0], as_of).items():
            now = stage(own, end, at_risk, lapsed)
            counts[start, before, now] += 1
            before = now
    return dict(counts)


def returned(orders, as_of, days, follow_up=90):
    """(spells without an order for more than these days that can be followed up, those that then ended in time)"""
    spells = came_back = 0
    for own in order_days(orders).values():
        distinct = sorted(set(own))
        for day, following in zip(distinct, [*distinct[1:], date.max], strict=True):
            gap = (following - day).days
            if gap > days and day + timedelta(days + follow_up) <= as_of:
                spells += 1
                came_back += gap <= days + follow_up
    return spells, came_back


def affinities(baskets, min_baskets, min_support, max_products):
    """(product, other product) -> (baskets with both, support, confidence, lift); baskets are sets of products"""
    baskets = [basket for basket in baskets if len(basket) <= max_products]
    single, both = Counter(), Counter()
    for basket in baskets:
        single.update(basket)
        both.update((one, other) for one in basket for other in basket if one != other)
    return {
        (one, other): (
            count,
            count / len(baskets),
            count / single[one],
            count / single[one] / (single[other] / len(baskets)),
        )
        for (one, other), count in both.items()
        if count >= min_baskets and count >= min_support * len(baskets)
    }


def loyalty_tier(orders, tiers, as_of, review_days):
    """One person's (tier, until, missing to keep, next tier, missing to next) by trying every day.

    orders are (day, net amount); tiers, lowest first, (name, basis, window in days, threshold).
    """

    def reached(tier, day):
        _, basis, window, _ = tier
        amounts = [1 if basis == "count" else net for on, net in orders if day - timedelta(window) < on <= day]
        return sum(amounts)

    held = [tier for tier in tiers if reached(tier, as_of) >= tier[3]]
    above = tiers[tiers.index(held[-1]) + 1 :] if held else tiers
    ahead = (above[0][0], above[0][3] - reached(above[0], as_of)) if above else (None, None)
    if not held:
        return "none", None, None, *ahead
    tier, day = held[-1], as_of
    while reached(tier, day + timedelta(1)) >= tier[3]:
        day += timedelta(1)
    missing = max(tier[3] - reached(tier, as_of + timedelta(review_days)), 0)
    return tier[0], day, missing, *ahead
