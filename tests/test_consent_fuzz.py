"""100,000 random people with random histories of consent and suppression: who may be contacted, decided twice.

The oracle follows the words of the definition in plain Python and shares no code with the models.
"""

import csv
import random
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from support import Warehouse, dbt

PEOPLE = 100_000
ZONE = ZoneInfo("Europe/Berlin")
AS_OF = "2024-03-31"  # the day on which the clocks go forward
AS_OF_END = datetime(2024, 4, 1, tzinfo=ZONE)
CHANNELS = ("email", "sms", "push", "ads")
TARGETS = {"email": "email", "sms": "phone", "push": "user_id", "ads": "email"}
PRECEDENCE = ("erased", "complaint", "hard_bounce", "unsubscribed")
EVER, FOREVER = (end.replace(tzinfo=UTC) for end in (datetime.min, datetime.max))


def spelled(dice, address):
    """The same address as people type it."""
    if address is None:
        return None
    return dice.choice((address, address, address.upper(), f"  {address} ", f"\t{address.title()}"))


def moment(dice):
    """An instant on a coarse grid, so that ties are common, and one of the ways to write it."""
    if dice.random() < 0.01:
        return None, dice.choice(("", "yesterday", "0000-00-00"))
    at = datetime(2024, 3, 28, tzinfo=UTC) + timedelta(hours=6 * dice.randrange(24), minutes=30 * dice.randrange(2))
    if dice.random() < 0.1:  # the hour that autumn repeats
        at = datetime(2023, 10, 29, 0, 30, tzinfo=UTC) + timedelta(minutes=30 * dice.randrange(3))
        return at, at.astimezone(ZONE).isoformat()
    local = at.astimezone(ZONE)
    return at, dice.choice(
        (
            at.isoformat(),
            local.isoformat(),
            local.strftime("%Y-%m-%d %H:%M:%S"),
            local.strftime("%Y-%m-%d %I:%M %p"),
            local.strftime("%Y/%m/%d %H:%M:%S %z"),
            at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            at.strftime("%Y-%m-%d %H:%M:%S UTC"),
            f"{at.timestamp():.0f}",
        )
    )


class World:
    """Accounts with addresses, and what was said about the addresses."""

    def __init__(self, dice):
        self.accounts, self.consents, self.suppressions = [], [], []
        for number in range(PEOPLE):
            email = f"person{number}@example.com" if dice.random() < 0.95 else None
            if dice.random() < 0.03 and number:  # a second account of somebody earlier
                email = self.accounts[dice.randrange(number)]["email"]
            if number % 5000 < 12:  # a dozen accounts of one reception desk: too many to be one person
                email = f"desk{number // 5000}@example.com"
            phone = f"+4930{number % 60_000:08d}" if dice.random() < 0.5 else None  # some phones are shared
            user = f"u{number}" if dice.random() < 0.4 else None
            closed = dice.random() < 0.02
            self.accounts.append(
                {"id": f"c{number:06d}", "email": email, "phone": phone, "user_id": user, "closed": closed}
            )
            for _ in range(dice.choice((0, 1, 1, 2, 3))):
                self.say(
                    dice,
                    self.accounts[-1],
                    self.consents,
                    dice.choice(("opted_in", "opted_in", "opted_out", "pending")),
                )
            if dice.random() < 0.05:
                self.say(dice, self.accounts[-1], self.suppressions, dice.choice((*PRECEDENCE, "spam trap")))

    @staticmethod
    def say(dice, account, statements, what):
        channel = dice.choice((*CHANNELS, "email", "email"))
        addresses = {kind: None for kind in ("email", "phone", "user_id")}
        for kind in {TARGETS[channel]} if dice.random() < 0.8 else set(addresses):
            addresses[kind] = account[kind]
        if dice.random() < 0.03:
            channel = dice.choice(("", "fax"))
        at, text = moment(dice)
        statements.append(addresses | {"channel": channel, "what": what, "at": at, "text": text})

    def write(self, folder, dice):
        (folder / "shop").mkdir()
        (folder / "app").mkdir()
        (folder / "esp").mkdir()
        start = "2024-01-01 00:00:00"
        self.table(
            folder / "shop/customers.csv",
            ("customer_id", "email", "phone", "created_at", "deleted_at"),
            (
                (
                    a["id"],
                    spelled(dice, a["email"]),
                    a["phone"] and a["phone"].replace("+49", dice.choice(("+49 ", "0049-", "+49"))),
                    start,
                    start if a["closed"] else None,
                )
                for a in self.accounts
            ),
        )
        self.table(folder / "shop/orders.csv", ("order_id", "customer_id", "ordered_at", "gross_amount"), ())
        self.table(
            folder / "app/users.csv",
            ("user_id", "customer_id", "created_at"),
            ((a["user_id"], a["id"], start) for a in self.accounts if a["user_id"]),
        )
        self.table(folder / "app/events.csv", ("event_id", "user_id", "event_name", "occurred_at"), ())
        for name, statements, columns in (
            ("consents", self.consents, ("channel", "status", "changed_at")),
            ("suppressions", self.suppressions, ("channel", "reason", "suppressed_at")),
        ):
            rows = [
                (spelled(dice, s["email"]), s["phone"], s["user_id"], s["channel"], s["what"], s["text"])
                for s in statements
            ]
            dice.shuffle(rows)
            self.table(folder / f"esp/{name}.csv", ("email", "phone", "user_id", *columns), rows)

    @staticmethod
    def table(path, header, rows):
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)


def channels_meant(channel):
    return (channel,) if channel in CHANNELS else CHANNELS


def consent_states(consents):
    """(kind, address, channel) -> whether the latest statement is a yes"""
    latest = defaultdict(list)
    for said in consents:
        is_yes = said["what"] == "opted_in"
        at = said["at"] or (EVER if is_yes else FOREVER)
        if is_yes and (at >= AS_OF_END or said["channel"] not in CHANNELS):
            continue
        for kind in ("email", "phone", "user_id"):
            if said[kind]:
                for channel in channels_meant(said["channel"]):
                    latest[kind, said[kind], channel].append((at, not is_yes))
    return {key: not max(statements)[1] for key, statements in latest.items()}


def suppression_reasons(suppressions):
    """(kind, address, channel) -> reasons"""
    reasons = defaultdict(set)
    for said in suppressions:
        reason = said["what"] if said["what"] in PRECEDENCE else "unsubscribed"
        for kind in ("email", "phone", "user_id"):
            if said[kind]:
                for channel in CHANNELS if reason == "erased" else channels_meant(said["channel"]):
                    reasons[kind, said[kind], channel].add(reason)
    return reasons


def expected(world):
    """primary account -> channel -> reason why not, or None"""
    desks = {email for email, n in Counter(a["email"] for a in world.accounts).items() if email and n > 10}
    people = defaultdict(list)
    for account in world.accounts:
        shared = account["email"] is None or account["email"] in desks
        people[account["id"] if shared else account["email"]].append(account)
    said, suppressed = consent_states(world.consents), suppression_reasons(world.suppressions)
    addresses_of = {
        person: {(kind, a[kind]) for a in accounts for kind in ("email", "phone", "user_id") if a[kind]}
        for person, accounts in people.items()
    }
    gone = set()  # addresses of the erased, whoever else has them
    for addresses in addresses_of.values():
        if any("erased" in suppressed.get((*address, "email"), ()) for address in addresses):
            gone |= addresses
    answers = {}
    for person, accounts in people.items():
        addresses, answer = addresses_of[person], {}
        for channel in CHANNELS:
            kind = TARGETS[channel]
            order = [a for a in accounts if a[kind] and not (a["closed"] and kind != "user_id")] or [
                a for a in accounts if a[kind]
            ]
            target = max(order, key=lambda a: a["id"])[kind] if order else None
            states = {address: said.get((*address, channel)) for address in addresses}
            reasons = {
                reason
                for address in addresses
                for reason in suppressed.get((*address, channel), ())
                if reason != "hard_bounce" or address == (kind, target)
            }
            if (kind, target) in gone:
                reasons.add("erased")
            has_yes = any(yes and (address[0] == "user_id" or address[1] == target) for address, yes in states.items())
            if reasons:
                answer[channel] = min(reasons, key=PRECEDENCE.index)
            elif False in states.values() or not has_yes or all(a["closed"] for a in accounts):
                answer[channel] = "no_consent"
            else:
                answer[channel] = None if target else "no_address"
        answers[min(a["id"] for a in accounts)] = answer
    return answers


@pytest.mark.parametrize("seed", [20240331])
def test_nobody_is_contacted_who_may_not_be_and_everybody_who_may(seed, tmp_path):
    dice = random.Random(seed)
    world = World(dice)
    raw = tmp_path / "raw"
    raw.mkdir()
    world.write(raw, dice)
    path = tmp_path / "lifecycle.duckdb"
    variables = {"sources": ["shop", "app", "esp"], "as_of_date": AS_OF, "business_time_zone": "Europe/Berlin"}
    dbt(
        "build",
        "--exclude-resource-type",
        "unit_test",
        "test",
        "--select",
        "+customer_channels",
        raw=raw,
        warehouse=path,
        variables=variables,
    )
    rows = Warehouse(path).rows(
        "select profiles.primary_customer_id, channel, blocked_reason from marts.customer_channels "
        "join intermediate.int_profiles as profiles using (person_id)"
    )
    oracle = {
        (account, channel): reason for account, answer in expected(world).items() for channel, reason in answer.items()
    }
    marts = {row[:2]: row[2] for row in rows}
    assert len(marts) == len(rows)
    differences = {
        key: (marts.get(key, "absent"), oracle.get(key, "absent"))
        for key in marts.keys() | oracle.keys()
        if marts.get(key, "absent") != oracle.get(key, "absent")
    }
    assert not differences, f"{len(differences)} differences, such as {next(iter(differences.items()))}"
    assert set(Counter(oracle.values())) == {None, "no_consent", *PRECEDENCE, "no_address"}
