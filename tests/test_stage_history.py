"""Every spell of customer_stage_history against the plain rules, asked at every order and every midnight."""

import random
from datetime import date, datetime, time, timedelta
from itertools import pairwise

import pytest

import oracle
from support import Warehouse, dbt

FIRST, AS_OF = date(2024, 1, 1), date(2024, 9, 30)
CUSTOMERS = 1000


def moment_after(moment, day, random_):
    """Soon, at the same time, or at about a threshold after the day: on the stroke of midnight or later."""
    kind = random_.choice(["same", "minutes", "days", "threshold", "threshold"])
    if kind == "same":
        return moment
    if kind == "minutes":
        return moment + timedelta(minutes=random_.randrange(1, 90))
    if kind == "days":
        return moment + timedelta(minutes=random_.randrange(60 * 24 * 40))
    threshold = day + timedelta(random_.choice([0, 1, 2]))
    return max(moment, datetime.combine(threshold, time(random_.choice([0, 0, 12]))))


def shop(at_risk, lapsed, random_):
    """customer -> moments of their orders, in order"""
    orders = {}
    for number in range(CUSTOMERS):
        moment = datetime.combine(FIRST, time()) + timedelta(minutes=random_.choice([0, random_.randrange(60 * 24 * 90)]))
        own = []
        while moment.date() <= AS_OF and len(own) < random_.choice([1, 2, 4, 12]):
            own.append(moment)
            waited = timedelta(random_.choice([min(30, at_risk), at_risk, lapsed]))
            moment = moment_after(moment, moment.date() + waited, random_)
        orders[f"C{number}"] = own
    return orders


def expected(own, at_risk, lapsed):
    """(stage, entered_at, exited_at, cycle_number, days_since_last_order) of each spell of one customer"""
    midnights = [datetime.combine(FIRST + timedelta(n), time()) for n in range((AS_OF - FIRST).days + 1)]
    entries = []
    for moment in sorted({*own, *(midnight for midnight in midnights if midnight > own[0])}):
        days = [order.date() for order in own if order <= moment]
        stage = oracle.stage(days, moment.date(), at_risk, lapsed)
        if not entries or entries[-1][0] != stage:
            cycle = 1 + sum((later - earlier).days > lapsed for earlier, later in pairwise(days))
            entries.append((stage, moment, cycle, (moment.date() - days[-1]).days))
    ends = [entered for _, entered, _, _ in entries[1:]] + [None]
    return [(stage, entered, end, *rest) for (stage, entered, *rest), end in zip(entries, ends, strict=True)]


@pytest.mark.parametrize(("at_risk", "lapsed"), [(8, 20), (45, 60)], ids=["new until at risk", "new for 30 days"])
def test_every_spell_is_what_the_rules_say(tmp_path, at_risk, lapsed):
    orders = shop(at_risk, lapsed, random.Random(at_risk))
    raw = tmp_path / "raw"
    raw.mkdir()
    lines = [f"{customer},{moment.isoformat(' ')},1" for customer, own in orders.items() for moment in own]
    random.Random(1).shuffle(lines)
    (raw / "orders.csv").write_text("customer_id,ordered_at,amount,order_id\n" + "".join(
        f"{line},O{number}\n" for number, line in enumerate(lines)))
    no_tests = ["--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"]
    dbt("build", *no_tests, "--select", "+customer_stage_history", raw=raw, warehouse=tmp_path / "lifecycle.duckdb", variables={
        "sources": ["orders_file"], "business_time_zone": "UTC", "as_of_date": str(AS_OF),
        "at_risk_after_days": at_risk, "lapsed_after_days": lapsed})
    found = {}
    for customer, *spell in Warehouse(tmp_path / "lifecycle.duckdb").rows(
            "select source_id, stage, entered_at, exited_at, cycle_number, days_since_last_order "
            "from marts.customer_stage_history join intermediate.int_identity_map using (person_id) order by entered_at"):
        found.setdefault(customer, []).append(tuple(spell))
    assert found.keys() == orders.keys()
    for customer, own in orders.items():
        assert found[customer] == expected(own, at_risk, lapsed), (customer, own)
    assert {spell[0] for spells in found.values() for spell in spells} == {
        "new", "one_time", "repeat", "loyal", "reactivated", "at_risk", "lapsed"} - ({"one_time"} if at_risk < 30 else set())
