"""Random people with random histories of consent and suppression: who may be contacted, decided twice, down to the files.

The oracle follows the words of the definition in plain Python and shares no code with the models: it knows which address was
meant, and the marts see only how it was spelled.
"""

import csv
import hashlib
import json
import os
import random
import unicodedata
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import duckdb
import pytest
import yaml

from support import NO_UNIT_TESTS, PROJECT, Warehouse, dbt, script

LONG = os.environ.get("TEST_LONG")
RUNS = [(seed, 5_000) for seed in (1, 3, 4)] + ([(20240331, 100_000)] if LONG else [])
ZONE = ZoneInfo("Europe/Berlin")
AS_OF = "2024-03-31"  # the day on which the clocks go forward
AS_OF_END = datetime(2024, 4, 1, tzinfo=ZONE)
CHANNELS = ("email", "sms", "push", "ads")
TARGETS = {"email": "email", "sms": "phone", "push": "user_id", "ads": "email"}
PRECEDENCE = ("erased", "complaint", "hard_bounce", "unsubscribed")
OPTED_OUT = "opted_out"
EVER, FOREVER = (end.replace(tzinfo=UTC) for end in (datetime.min, datetime.max))
BLANKS = ("", "  ", "\t", "\N{NO-BREAK SPACE}", "\N{IDEOGRAPHIC SPACE}", "\N{ZERO WIDTH SPACE}", "\N{ZERO WIDTH NO-BREAK SPACE}")
ECHO = "customer_lifecycle"  # variable own_imports
# region: (calling code, what is dialled before a number there, how numbers begin, further digits)
COUNTRIES = {
    "DE": ("49", "0", "30", 8), "AT": ("43", "0", "664", 7), "US": ("1", "1", "20155", 5), "FR": ("33", "0", "6", 8), "GB": ("44", "0", "7400", 6),
}  # fmt: skip


# --- addresses: what is meant, and how it is spelled ------------------------------------------------------------

def email_key(email):
    """As a domain is in the DNS; the rest is spelled right already."""
    local, domain = email.split("@")
    return local + "@" + ".".join(label if label.isascii() else "xn--" + label.encode("punycode").decode() for label in domain.split("."))


def mailbox(email):
    local, domain = email.split("@")
    return local.split("+")[0].replace(".", "") + "@gmail.com" if domain in ("gmail.com", "googlemail.com") else email


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def alias(dice, email):
    """Another address of the same mailbox, if it has any."""
    local, domain = email.split("@")
    if domain != "gmail.com":
        return email
    return dice.choice((f"{local[0]}.{local[1:]}@gmail.com", f"{local}+news@gmail.com", f"{local}@googlemail.com"))


def forms(number):
    """(region, national number) as lists may have it without its country."""
    code, prefix = COUNTRIES[number[0]][:2]
    return {number[1], prefix + number[1], code + number[1]}


def e164(number):
    return f"+{COUNTRIES[number[0]][0]}{number[1]}"


def spelled_email(dice, email):
    if email is None:
        return None
    local, domain = email.split("@")
    text = f"{local}@{dice.choice((domain, email_key(email).split('@')[1]))}"
    text = dice.choice((text, text, text.upper(), text.title(), unicodedata.normalize("NFD", text)))
    return dice.choice(BLANKS) + text + dice.choice(BLANKS)


def spelled_phone(dice, number, national=False):
    """International, in which the country is told, or national, in which it is not."""
    region, digits = number
    code, prefix = COUNTRIES[region][:2]
    if national:
        return dice.choice((f"{prefix}{digits}", f"{prefix}{digits[:3]} {digits[3:]}", f"({prefix}{digits[:2]}) {digits[2:5]}-{digits[5:]}", digits))
    zero = "" if region == "US" else "(0)"
    return dice.choice((
        f"+{code}{digits}", f"00{code}{digits}", f"+{code} {zero}{digits}", f"00 {code} {zero} {digits[:3]}/{digits[3:]}",
        f" +{code}-{digits[:3]}.{digits[3:]}\N{NO-BREAK SPACE}", f"+{code} {'' if region == 'US' else '0'}{digits}",
    ))  # fmt: skip


def moment(dice):
    """An instant on a coarse grid, so that ties are common, and one of the ways to write it."""
    if dice.random() < 0.01:
        return None, dice.choice(("", "yesterday", "0000-00-00"))
    at = datetime(2024, 3, 28, tzinfo=UTC) + timedelta(hours=6 * dice.randrange(24), minutes=30 * dice.randrange(2))
    if dice.random() < 0.1:  # the hour that autumn repeats
        at = datetime(2023, 10, 29, 0, 30, tzinfo=UTC) + timedelta(minutes=30 * dice.randrange(3))
        return at, at.astimezone(ZONE).isoformat()
    local = at.astimezone(ZONE)
    return at, dice.choice((
        at.isoformat(), local.isoformat(), local.strftime("%Y-%m-%d %H:%M:%S"), local.strftime("%Y-%m-%d %I:%M %p"),
        local.strftime("%Y/%m/%d %H:%M:%S %z"), at.strftime("%Y-%m-%dT%H:%M:%SZ"), at.strftime("%Y-%m-%d %H:%M:%S UTC"), f"{at.timestamp():.0f}",
    ))  # fmt: skip


class World:
    """Accounts with addresses, and what was said about the addresses."""

    def __init__(self, dice, people):
        self.dice, self.accounts, self.consents, self.suppressions = dice, [], [], []
        for number in range(people):
            self.account(number)
            for _ in range(dice.choice((0, 1, 1, 2, 3))):
                self.say(self.accounts[-1], self.consents, dice.choice(("opted_in", "opted_in", "opted_in", "opted_out", "pending")))
            if dice.random() < 0.1:
                self.say(self.accounts[-1], self.suppressions, dice.choice((*PRECEDENCE, "erased", "spam trap", ECHO)))

    def account(self, number):
        dice = self.dice
        region = dice.choice((*COUNTRIES, "DE", "AT"))
        local, domain = dice.choice(("person", "zo\u00e9")), dice.choice(("example.com", "example.com", "gmail.com", "m\u00fcller.example"))
        email = f"{local if domain != 'gmail.com' else 'person'}{number}@{domain}" if dice.random() < 0.95 else None
        earlier = dice.choice(self.accounts) if number else None
        if earlier and earlier["email"] and dice.random() < 0.06:
            # a second account of somebody, or somebody else with another spelling of the mailbox
            email = dice.choice((earlier["email"], alias(dice, earlier["email"])))
            region = earlier["region"]
        if number % 2500 < 12:  # a dozen accounts of one reception desk: too many to be one person
            email = f"desk{number // 2500}@example.com"
        begin, more = COUNTRIES[region][2:]
        phone = None
        if dice.random() < 0.6:
            # some phones are a household's; some numbers are somebody else's in another country
            own = number if dice.random() < 0.7 else dice.randrange(max(1, len(self.accounts)))
            phone = region, ("664" if region == "DE" and dice.random() < 0.5 else begin) + f"{own:0{7 if region == 'DE' else more}d}"
            if region == "US":
                phone = region, f"201555{own % 10_000:04d}"
        self.accounts.append({
            "id": f"c{number:06d}", "email": email, "phone": phone, "user_id": f"u{number:06d}" if dice.random() < 0.4 else None,
            "closed": dice.random() < 0.02, "region": region, "country": region if dice.random() < 0.7 else None,
        })  # fmt: skip

    def say(self, account, statements, what):
        dice = self.dice
        channel = dice.choice((*CHANNELS, "email", "email", "sms"))
        addresses = {kind: None for kind in ("email", "phone", "user_id")}
        kinds = {TARGETS[channel]} if dice.random() < 0.7 else {dice.choice(tuple(addresses))} if dice.random() < 0.6 else set(addresses)
        for kind in kinds:
            addresses[kind] = account[kind]
        if addresses["email"] and dice.random() < 0.15:
            addresses["email"] = alias(dice, addresses["email"])
        if dice.random() < 0.03:
            channel = dice.choice(("", "fax"))
        at, text = moment(dice)
        if what != "opted_in" and dice.random() < 0.1:
            return self.list_hashes(account, statements, what, channel, at, text)
        phone = addresses["phone"] and spelled_phone(dice, addresses["phone"], national=dice.random() < 0.3)
        digits = phone and "".join(filter(str.isdigit, phone.replace("(0)", "")))
        statements.append({
            "email": addresses["email"] and email_key(addresses["email"]), "user_id": addresses["user_id"], "phone": None, "bare": None,
            "channel": channel, "what": what, "at": at, "source": dice.choice(("shop", "", ECHO.title(), "shop", "form")),
            "written": (spelled_email(dice, addresses["email"]), phone, addresses["user_id"], channel, what, text),
        })  # fmt: skip
        if phone and phone.strip().startswith(("+", "00")):
            statements[-1]["phone"] = e164(addresses["phone"])
        elif phone:
            statements[-1]["bare"] = digits

    def list_hashes(self, account, statements, what, channel, at, text):  # noqa: PLR0917
        """A partner lists the hashes of a person's addresses, in the forms that advertisers hash."""
        dice = self.dice
        email = account["email"] and dice.choice((str, mailbox))(email_key(account["email"]))
        phone = account["phone"] and e164(account["phone"])
        statements.append({
            "email": email, "phone": phone, "user_id": None, "bare": None, "channel": channel, "what": what, "at": at, "source": "partner",
            "written": (email and dice.choice((str.lower, str.upper))(sha256(email)), phone and sha256(phone[dice.randrange(2):]), None, channel, what, text),
        })  # fmt: skip

    def phone_of(self, account):
        """A record says its country, or nobody of the person does, and the usual one is meant."""
        if account["phone"] is None:
            return None
        known = account["country"] is not None or account["region"] == "DE"
        return spelled_phone(self.dice, account["phone"], national=known and self.dice.random() < 0.5)

    def write(self, folder):
        start, dice = "2024-01-01 00:00:00", self.dice
        tables = {
            "shop/customers": (("customer_id", "email", "phone", "country", "created_at", "deleted_at"), [
                (a["id"], spelled_email(dice, a["email"]), self.phone_of(a), a["country"], start, start if a["closed"] else None) for a in self.accounts]),
            "shop/orders": (("order_id", "customer_id", "ordered_at", "gross_amount"), []),
            "app/users": (("user_id", "customer_id", "created_at"), [(a["user_id"], a["id"], start) for a in self.accounts if a["user_id"]]),
            "app/events": (("event_id", "user_id", "event_name", "occurred_at"), []),
            "esp/consents": (("email", "phone", "user_id", "channel", "status", "changed_at", "source"), [(*s["written"], s["source"]) for s in self.consents]),
            "esp/suppressions": (("email", "phone", "user_id", "channel", "reason", "suppressed_at"), [s["written"] for s in self.suppressions]),
        }  # fmt: skip
        for name, (header, rows) in tables.items():
            path = folder / f"{name}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            dice.shuffle(rows)
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(header)
                writer.writerows(rows)


# --- the oracle -------------------------------------------------------------------------------------------------

def channels_meant(channel):
    return (channel,) if channel in CHANNELS else CHANNELS


class Oracle:
    """Who may be contacted, and why not; by what was meant."""

    def __init__(self, world):
        desks = {email for email, n in Counter(a["email"] for a in world.accounts).items() if email and n > 10}
        self.accounts = defaultdict(list)  # by person
        for account in world.accounts:
            email = account["email"] and email_key(account["email"])
            shared = email is None or account["email"] in desks
            self.accounts[account["id"] if shared else email].append(account)
        self.addresses, self.owners, self.by_form, self.by_mailbox = {}, defaultdict(set), defaultdict(set), defaultdict(set)
        self.numbers = {}
        for person, accounts in self.accounts.items():
            own = self.addresses[person] = set()
            for a in accounts:
                own |= {("email", email_key(a["email"]))} if a["email"] else set()
                own |= {("user_id", a["user_id"])} if a["user_id"] else set()
                if a["phone"]:
                    own.add(("phone", e164(a["phone"])))
                    self.numbers[e164(a["phone"])] = a["phone"]
            for kind, address in own:
                self.owners[kind, address].add(person)
                if kind == "email":
                    self.by_mailbox[mailbox(address)].add(person)
                for form in forms(self.numbers[address]) if kind == "phone" else ():
                    self.by_form[form].add(person)
        self.listen(world)
        self.read_reports(world)
        self.erase()

    def listen(self, world):
        """The latest statement about each address and channel, and opt-outs by numbers without a country."""
        said, self.bare_noes = defaultdict(list), {}
        for one in world.consents:
            is_yes = one["what"] == "opted_in"
            at = one["at"] or (EVER if is_yes else FOREVER)
            if one["source"].lower() == ECHO or (is_yes and (at >= AS_OF_END or one["channel"] not in CHANNELS)):
                continue
            for channel in channels_meant(one["channel"]):
                for kind in ("email", "phone", "user_id"):
                    if one[kind]:
                        said[kind, one[kind], channel].append((at, not is_yes))
                if one["bare"] and not is_yes:
                    self.bare_noes[one["bare"], channel] = max(at, self.bare_noes.get((one["bare"], channel), EVER))
        self.states = {key: (not max(statements)[1], max(statements)[0]) for key, statements in said.items()}

    def read_reports(self, world):
        """The reasons of suppressions, and every no to a spelling of a mailbox."""
        self.reasons = defaultdict(set)
        for one in world.suppressions:
            if one["what"] == ECHO:
                continue
            reason = one["what"] if one["what"] in PRECEDENCE else "unsubscribed"
            for channel in CHANNELS if reason == "erased" else channels_meant(one["channel"]):
                for kind in ("email", "phone", "user_id", "bare"):
                    if one[kind]:
                        self.reasons[kind, one[kind], channel].add(reason)
        self.mailbox_noes = defaultdict(set)  # of every spelling
        for (kind, address, channel), (is_yes, _) in self.states.items():
            if kind == "email" and not is_yes:
                self.mailbox_noes[mailbox(address), channel].add(OPTED_OUT)
        for (kind, address, channel), reasons in self.reasons.items():
            if kind == "email":
                self.mailbox_noes[mailbox(address), channel] |= reasons

    def erase(self):
        """An address, or a number without its country, of one person alone erases; then all addresses are refused."""
        self.erased, self.shared_erasures = set(), set()
        for (kind, address, channel), reasons in list(self.reasons.items()):
            if "erased" in reasons and channel == "email":
                owners = self.by_form[address] if kind == "bare" else self.owners[kind, address]
                if len(owners) == 1:
                    self.erased |= owners
                elif owners:
                    self.shared_erasures.add((kind, address, frozenset(owners)))
        for person in self.erased:
            for kind, address in self.addresses[person]:
                for channel in CHANNELS:
                    self.reasons[kind, address, channel].add("erased")
                    if kind == "email":
                        self.mailbox_noes[mailbox(address), channel].add("erased")

    def noes_to(self, address, channel):
        """(reason, how many people have what was named) of every no that meets an address."""
        kind, value = address
        found = {(reason, len(self.owners[address])) for reason in self.reasons.get((*address, channel), ())}
        is_yes, at = self.states.get((*address, channel), (None, None))
        if is_yes is False:
            found.add((OPTED_OUT, len(self.owners[address])))
        for form in forms(self.numbers[value]) if kind == "phone" else ():
            people = len(self.by_form[form])
            found |= {(reason, people) for reason in self.reasons.get(("bare", form, channel), ())}
            no_at = self.bare_noes.get((form, channel))
            if no_at is not None and not (is_yes and at > no_at):
                found.add((OPTED_OUT, people))
        if kind == "email":
            found |= {(reason, len(self.by_mailbox[mailbox(value)])) for reason in self.mailbox_noes.get((mailbox(value), channel), ())}
        return found

    def noes(self, person, channel):
        """What somebody said under an address of their own."""
        return {
            reason for address in self.addresses[person] for reason, people in self.noes_to(address, channel)
            if people == 1 and reason != "hard_bounce"
        }  # fmt: skip

    def refused(self, address, channel):
        """Why an address is not used, whoever has it."""
        kind, value = address
        found = {reason for reason, _ in self.noes_to(address, channel)}
        for other in self.by_mailbox[mailbox(value)] if kind == "email" else self.owners[address]:
            if len(self.by_mailbox[mailbox(value)] if kind == "email" else self.owners[address]) > 1:
                found |= self.noes(other, channel)
        return found

    def target(self, person, kind):
        accounts = self.accounts[person]
        order = [a for a in accounts if a[kind] and not (a["closed"] and kind != "user_id")] or [a for a in accounts if a[kind]]
        if not order:
            return None
        value = max(order, key=lambda a: a["id"])[kind]
        return kind, {"email": email_key, "phone": e164, "user_id": str}[kind](value)

    def answer(self, person, channel):
        """Why a person may not be contacted, or None."""
        target = self.target(person, TARGETS[channel])
        found = self.noes(person, channel) | (self.refused(target, channel) if target else set())
        if found - {OPTED_OUT}:
            return min(found - {OPTED_OUT}, key=PRECEDENCE.index)
        has_yes = any(
            self.states.get((*address, channel), (False,))[0] for address in self.addresses[person] if address == target or address[0] == "user_id"
        )  # fmt: skip
        if OPTED_OUT in found or not has_yes or all(a["closed"] for a in self.accounts[person]):
            return "no_consent"
        return None if target else "no_address"

    def primary(self, person):
        return min(a["id"] for a in self.accounts[person])


# --- the run ----------------------------------------------------------------------------------------------------

class Built:
    def __init__(self, seed, people, folder):
        world = World(random.Random(seed), people)
        world.write(folder / "raw")
        self.folder, self.path, self.oracle = folder, folder / "lifecycle.duckdb", Oracle(world)
        dbt(
            "build", *NO_UNIT_TESTS, "--indirect-selection", "cautious", "--select", "+customers", "+suppression_list", "+shared_erasures", "build_settings",
            "+row_remarks", "nobody_who_said_no_can_be_contacted", "no_no_in_the_raw_data_is_lost", "people_share_no_link",
            raw=folder / "raw", warehouse=self.path,
            variables={"sources": ["shop", "app", "esp"], "as_of_date": AS_OF, "business_time_zone": "Europe/Berlin", "phone_country": "DE"},
        )  # fmt: skip
        self.marts = Warehouse(self.path)
        ids = dict(self.marts.rows("select person_id, primary_customer_id from intermediate.int_profiles"))
        people = {self.oracle.primary(person): person for person in self.oracle.accounts}
        assert sorted(ids.values()) == sorted(people), "the marts see other people"
        self.person = {person_id: people[primary] for person_id, primary in ids.items()}

    def publish(self):
        """The marts with everybody in one audience, as a published file."""
        published = self.folder / "published.duckdb"
        with duckdb.connect(str(published)) as con:
            con.execute(f"attach '{self.path}' as built (read_only); create schema marts; use marts")
            for mart in ("customers", "customer_channels", "suppression_list", "build_settings"):
                con.execute(f"create table {mart} as from built.marts.{mart}")
            con.execute("""create table audience_members as select 'everybody' as audience, person_id, date '2024-03-31' as entered_on,
                false as is_holdout, can_email, can_sms, can_push, can_ads, null::varchar as blocked_reason from customers where stage <> 'erased';
                create table lifecycle_metrics as select date '2024-03-31' as metric_date""")
        return published

    def export(self):
        """{channel: [rows as written]}"""
        specs = yaml.safe_load((PROJECT / "destinations.yml").read_text())["destinations"]
        beside = {"email": ["email", "phone"], "sms": ["phone", "email"], "push": ["app_user_id"], "ads": ["email", "phone"]}
        deliveries = {channel: {"destination": "csv", "channel": channel, "audiences": ["everybody"], "identify_by": "person_id", "fields": fields}
                      for channel, fields in beside.items()}  # fmt: skip
        off = dict.fromkeys(("empty", "shrank", "grew", "removed", "quarantined", "suppression_shrank", "source_age_hours", "consent_age_days"), "off")
        config = self.folder / "destinations.yml"
        config.write_text(yaml.safe_dump({"settings": {"guards": off}, "deliveries": deliveries, "destinations": specs}))
        done = script("export_audiences.py", "--config", config, "--from", self.publish(), "--out", self.folder / "exports",
                      "--state", self.path.with_suffix(".state"), "--json")  # fmt: skip
        assert done.returncode in (0, 5), done.stdout + done.stderr
        (run,) = (path for path in (self.folder / "exports").iterdir() if path.is_dir() and path.name.startswith("2"))
        written = {}
        for channel in CHANNELS:
            with (run / channel / "everybody.csv").open(newline="", encoding="utf-8") as file:
                written[channel] = list(csv.DictReader(file))
        return written


@pytest.fixture(scope="module", params=RUNS, ids=lambda run: f"{run[0]}-{run[1]}")
def built(request, tmp_path_factory):
    return Built(*request.param, tmp_path_factory.mktemp("consent"))


def test_nobody_is_contacted_who_may_not_be_and_everybody_who_may(built):
    rows = built.marts.rows("select person_id, channel, blocked_reason, can_contact from marts.customer_channels")
    assert all((reason is None) == can for _, _, reason, can in rows)
    marts = {(built.person[person], channel): reason for person, channel, reason, _ in rows}
    oracle = {(person, channel): built.oracle.answer(person, channel) for person in built.oracle.accounts for channel in CHANNELS}
    assert len(marts) == len(rows)
    differences = {key: (marts.get(key, "absent"), oracle.get(key, "absent")) for key in marts.keys() | oracle.keys()
                   if marts.get(key, "absent") != oracle.get(key, "absent")}  # fmt: skip
    wrong = Counter(pair for pair in differences.values())
    assert not differences, f"{len(differences)} of {len(oracle)} differ: {wrong}, such as {next(iter(differences.items()))}"
    assert set(Counter(oracle.values())) == {None, "no_consent", *PRECEDENCE, "no_address"}


def test_the_hard_cases_are_there(built):
    """Refused only by a number without its country, by another spelling of a mailbox, by what was said of somebody else's address."""
    oracle, met = built.oracle, Counter()
    for person in oracle.accounts:
        for channel in CHANNELS:
            target = oracle.target(person, TARGETS[channel])
            if target is None:
                continue
            exact = set(oracle.reasons.get((*target, channel), ())) | ({OPTED_OUT} if oracle.states.get((*target, channel), (True,))[0] is False else set())
            direct, own = {reason for reason, _ in oracle.noes_to(target, channel)}, oracle.noes(person, channel)
            met[f"{target[0]} by another form"] += bool(direct and not exact)
            met[f"{target[0]} of others who said no"] += bool(oracle.refused(target, channel) - direct - own)
            met[f"{target[0]} of several people"] += bool(direct - own and len(oracle.owners[target]) > 1)
    print(met)
    hard = ("email by another form", "phone by another form", "email of others who said no", "phone of others who said no", "phone of several people")
    assert all(met[case] for case in hard), met


def test_who_is_erased(built):
    found = {built.person[person] for (person,) in built.marts.rows("select person_id from intermediate.int_erased_people")}
    assert found == built.oracle.erased
    listed = defaultdict(set)
    for kind, address, person in built.marts.rows("select address_type, address, person_id from intermediate.shared_erasures"):
        listed[kind, address].add(built.person[person])
    open_ones = {owners for *_, owners in built.oracle.shared_erasures if not owners & built.oracle.erased}
    assert set(map(frozenset, listed.values())) == open_ones
    assert open_ones, "nothing was shared"


def test_every_file_holds_those_and_nobody_else(built):
    oracle, written = built.oracle, built.export()
    for channel, rows in written.items():
        kind = TARGETS[channel]
        wanted = {person for person in oracle.accounts if oracle.answer(person, channel) is None}
        found = {built.person[row["person_id"]]: row for row in rows}
        assert len(found) == len(rows)
        assert found.keys() == wanted, (channel, len(found.keys() - wanted), len(wanted - found.keys()))
        assert len(wanted) > len(oracle.accounts) / 100
        for person, row in found.items():
            value = {"email": row.get("email"), "phone": row.get("phone"), "user_id": row.get("app_user_id")}[kind]
            assert (kind, email_key(value) if kind == "email" else value) == oracle.target(person, kind)
            if kind == "email":
                assert value == unicodedata.normalize("NFC", value).strip("".join(BLANKS)).lower()
            beside = {"email": "sms", "sms": "email"}.get(channel)
            if beside:  # another way to reach the person needs its own consent
                other = {"sms": "phone", "email": "email"}[beside]
                assert bool(row[other]) == (oracle.answer(person, beside) is None), (channel, other)
            if channel == "ads" and row["phone"]:
                assert not oracle.refused(("phone", row["phone"]), channel)
    assert any(row["phone"] for row in written["ads"])


def test_no_address_is_on_its_list_and_no_erased_one_in_clear(built):
    oracle = built.oracle
    shown = {address for (address,) in built.marts.rows("select distinct address from marts.suppression_list where address is not null")}
    erased = {address for person in oracle.erased for _, address in oracle.addresses[person]}
    assert not shown & erased
    everything = json.dumps(built.marts.rows("select * from marts.customers where stage = 'erased'"), default=str)
    assert not any(address in everything for address in erased)
