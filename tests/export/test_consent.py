"""Who may be contacted: an oracle in plain Python against the export's joins, over a few thousand random people."""

import csv
import random
import re
from collections import Counter
from datetime import datetime

import duckdb
import phonenumbers
import pytest

from published import CHANNELS, person, sha256, suppression
from shop import RUN

SEVERITY = ["no_consent", "unsubscribed", "hard_bounce", "complaint", "erased"]
ADDRESSES = {"email": ["email"], "sms": ["phone"], "push": ["user_id"], "ads": ["email", "phone"]}
PEOPLE = 3000


def phone_as(rng, number):
    """The same US or German number as different people write it."""
    if number.startswith("+1"):
        n = number[2:]
        return rng.choice([number, f"+1 ({n[:3]}) {n[3:6]}-{n[6:]}", f"({n[:3]}) {n[3:6]}-{n[6:]}", f"1-{n[:3]}-{n[3:6]}-{n[6:]}"]), "US"
    return rng.choice([number, "0" + number[3:], "00" + number[1:], f"+49 (0){number[3:]}", f"+49/{number[3:]}"]), "DE"


def world(seed):
    rng = random.Random(seed)
    emails = [f"user{i}@example.com" for i in range(PEOPLE // 2)] + [f"j.doe{i}@gmail.com" for i in range(200)]
    phones = [f"+1415555{i:04}" for i in range(1000)] + [f"+49170{i:07}" for i in range(1000)]
    people = []
    for i in range(PEOPLE):
        phone, country = phone_as(rng, rng.choice(phones)) if rng.random() < 0.7 else (None, rng.choice(["US", None]))
        erased = rng.random() < 0.02
        blocked = {c: rng.choice(SEVERITY) for c in CHANNELS if rng.random() < 0.12}
        one = person(
            f"p{i:05}", None if erased or rng.random() < 0.2 else rng.choice(emails), None if erased else phone,
            app_user_id=None if erased or rng.random() < 0.5 else f"u{rng.randrange(2000)}", country=country,
            stage="erased" if erased else "lapsed", consent=[c for c in CHANNELS if rng.random() < 0.93],
            blocked=dict.fromkeys(CHANNELS, "erased") if erased else blocked, is_holdout=rng.choice([False] * 12 + [True, None]))
        people.append(one)
    listed = {}
    for _ in range(260):
        channel, kind = rng.choice([*CHANNELS, None]), rng.choice(["email", "phone", "user_id"])
        reason = rng.choice([*SEVERITY[1:], "opted_out"])
        if kind == "email":
            address = rng.choice(emails)
        elif kind == "phone":
            address = re.sub("[^0-9+]", "", phone_as(rng, rng.choice(phones))[0])
        else:
            address = f"u{rng.randrange(2000)}"
        listed[channel, kind, address] = suppression(channel, kind, None if rng.random() < 0.4 else address, reason, sha256(address))
    return people, list(listed.values())


def e164(raw, country):
    if raw is None:
        return None
    try:
        number = phonenumbers.parse(raw, country)
    except phonenumbers.NumberParseException:
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) if phonenumbers.is_possible_number(number) else None


def forms(number, digits):
    """Every way in which a suppression list may hold this phone, as + and digits."""
    found = {digits, number} - {None, ""}
    if number:
        bare = number[1:]
        found |= {bare, "00" + bare} | {zero + bare[i:] for i in (1, 2, 3) for zero in ("", "0")}
    return found


class Oracle:
    def __init__(self, people, suppressions):
        self.suppressions = suppressions
        self.people = [{**p["row"], "channels": p["channels"], "is_holdout": p["is_holdout"],
                        "number": e164(p["row"]["phone"], p["row"]["country"]), "user_id": p["row"]["app_user_id"],
                        "digits": re.sub("[^0-9+]", "", (p["row"]["phone"] or "").replace("(0)", "")) or None} for p in people]
        for p in self.people:
            p["mine"] = {"email": {p["email"]} - {None}, "user_id": {p["user_id"]} - {None}, "phone": forms(p["number"], p["digits"])}
            p["mine_sha"] = {kind: {sha256(x) for x in mine} for kind, mine in p["mine"].items()}

    def own(self, p, channel):
        reason, at = p["channels"][channel]
        if p["stage"] == "erased":
            return 5
        return 0 if reason is None and at else 1 + SEVERITY.index(reason or "no_consent")

    def listed(self, p, channel):
        worst = 0
        for on, kind, address, sha, reason, _ in self.suppressions:
            if on not in (channel, None):
                continue
            rank = 1 + SEVERITY.index(reason) if reason in SEVERITY else 1
            hit = (address in p["mine"][kind]) if address else (sha in p["mine_sha"][kind])
            if kind == "phone" and address and not address.startswith("+"):
                tail = address.lstrip("0")
                mine_bare = [p["number"][i:].lstrip("0") for i in (1, 2, 3, 4)] if p["number"] else [(p["digits"] or "").lstrip("+0")]
                hit = hit or (bool(tail) and tail in mine_bare)
            worst = max(worst, rank if hit else 0)
        return worst

    def decide(self, channel):
        """{person_id: reason or None} of everybody."""
        shared = {}
        for p in self.people:
            for kind in ADDRESSES[channel]:
                for address in ({p["number"], p["digits"]} if kind == "phone" else {p[kind]}) - {None}:
                    shared[kind, address] = max(shared.get((kind, address), 0), self.own(p, channel))
        decided = {}
        for p in self.people:
            here = [(kind, a) for kind in ADDRESSES[channel] for a in ([p["number"], p["digits"]] if kind == "phone" else [p[kind]]) if a]
            rank = max([self.own(p, channel), self.listed(p, channel), *(shared[address] for address in here)])
            has = any(p["number"] if kind == "phone" else p[kind] for kind in ADDRESSES[channel])
            decided[p["person_id"]] = ("erased" if rank == 5 else "no_identifier" if not has else SEVERITY[rank - 1] if rank
                                       else "held_out" if p["is_holdout"] is not False else None)
        return decided


@pytest.mark.parametrize("seed", [1, 2])
def test_nobody_who_said_no_and_everybody_who_may(shop, seed):
    people, suppressions = world(seed)
    shop.publish(people, suppressions)
    shop.configure({channel: {"destination": "csv", "channel": channel, "audiences": ["at_risk"], "identify_by": "person_id"}
                    for channel in CHANNELS})
    result, oracle = shop.json(code=0), Oracle(people, suppressions)
    for channel in CHANNELS:
        decided = oracle.decide(channel)
        with open(shop.file(f"{channel}/at_risk.csv"), newline="") as file:
            written = {row["person_id"] for row in csv.DictReader(file)}
        wanted = {person_id for person_id, reason in decided.items() if reason is None}
        assert written == wanted, (channel, sorted(written ^ wanted)[:5])
        node = result["manifest"]["deliveries"][channel]["audiences"]["at_risk"]
        assert node["reasons"] == dict(Counter(reason for reason in decided.values() if reason))
        assert len(written) > 500
        counts = list(node["waterfall"].values())
        assert counts == sorted(counts, reverse=True) and counts[0] == PEOPLE and counts[-1] == len(written)
        assert counts[0] == counts[-1] + sum(node["reasons"].values())


NO = {
    "consent not known": {"consent_status": None}, "can_contact null": {"can_contact": None},
    "opted out": {"consent_status": "opted_out"},
    "blocked for an unknown reason": {"blocked_reason": "because"}, "another channel": {"channel": "sms"},
}


@pytest.mark.parametrize("case", NO)
def test_anything_unclear_is_a_no(shop, case):
    shop.publish([person("a", "a@example.com"), person("b", "b@example.com")], [])
    with duckdb.connect(str(shop.source)) as con:
        for column, value in NO[case].items():
            con.execute(f"update marts.customer_channels set {column} = ? where person_id = 'a' and channel = 'email'", [value])
    shop(code=0)
    assert shop.file("csv/at_risk.csv").read_text() == "email,first_name,stage\nb@example.com,Ann,at_risk\n"


@pytest.mark.parametrize("table", ["customers", "audience_members"])
@pytest.mark.parametrize("value", [False, None])
def test_each_mart_can_say_no(shop, table, value):
    shop.publish([person("a", "a@example.com"), person("b", "b@example.com")], [])
    with duckdb.connect(str(shop.source)) as con:
        con.execute(f"update marts.{table} set can_email = ? where person_id = 'a'", [value])
    shop(code=0)
    assert "a@example.com" not in shop.file("csv/at_risk.csv").read_text()


def test_google_mailbox_is_compared_too(shop):
    """j.doe+x@gmail.com and jdoe@gmail.com are one hash at Google: a no to one is a no to both."""
    shop.publish([person("a", "j.doe+x@gmail.com"), person("b", "other@gmail.com")],
                 [suppression("ads", "email", "jdoe@gmail.com")])
    shop.configure({name: {"channel": "ads", "audiences": ["at_risk"], "attest": ["ad_user_data", "ad_personalization"]}
                    for name in ("google", "meta")})
    shop(code=0)
    assert sha256("other@gmail.com") in shop.file("google/at_risk.csv").read_text()
    assert sha256("jdoe@gmail.com") not in shop.file("google/at_risk.csv").read_text()
    assert sha256("j.doe+x@gmail.com") in shop.file("meta/at_risk.csv").read_text()


def test_without_phonenumbers_only_e164_is_written(shop):
    shop.configure({"csv": {"channel": "sms", "audiences": ["at_risk"]}})
    hide = shop.folder / "hide"
    hide.mkdir()
    (hide / "phonenumbers.py").write_text("raise ImportError")
    done = shop(code=0, env={"PYTHONPATH": str(hide)}, process=True)
    written = shop.file("csv/at_risk.csv").read_text().split()
    assert "+33612345678" in written and "+14155550134" not in written
    assert "1 phones are not in international form" in done.stdout


def test_consent_time_is_written_as_given(shop):
    shop.publish([person("a", "a@example.com", consented_at=datetime(2025, 12, 31, 23, 59, 59, 999999))], [])
    shop.configure({"klaviyo": {"channel": "email", "audiences": "all"}})
    shop(code=0)
    assert "a@example.com,SUBSCRIBED,2025-12-31T23:59:59Z" in shop.file("klaviyo/at_risk.csv").read_text()


def test_consent_without_a_time_is_consent(shop):
    shop.publish([person("a", "a@example.com", consented_at=None), person("b", "b@example.com")], [])
    shop.configure({"klaviyo": {"channel": "email", "audiences": "all"}})
    shop(code=0)
    assert "a@example.com,SUBSCRIBED,,true\n" in shop.file("klaviyo/at_risk.csv").read_text()


@pytest.mark.parametrize(("given", "delivery", "listed"), [
    ({"email": "j.doe@gmail.com"}, {"google": {"channel": "ads", "attest": ["ad_user_data", "ad_personalization"]}},
     suppression("ads", "email", None, "erased", sha256("jdoe@gmail.com"))),
    ({"phone": "+14155550134"}, {"klaviyo": {"channel": "sms"}},
     suppression("sms", "phone", None, "erased", sha256("4155550134"))),
    ({"phone": "+442079460134", "country": "GB"}, {"klaviyo": {"channel": "sms"}},
     suppression("sms", "phone", "+442079460134", "unsubscribed")),
    ({"phone": "+44 (0)20 7946 0134", "email": "a@example.com", "country": "GB"}, {"meta": {"channel": "ads"}},
     suppression("ads", "phone", "+442079460134", "unsubscribed"))],
    ids=["mailbox hash", "national hash", "as the mart writes +44 (0)20", "unreadable phone"])
def test_a_listed_address_blocks_however_it_is_written(shop, given, delivery, listed):
    (name, node), = delivery.items()
    shop.configure({name: {**node, "audiences": ["at_risk"]}})
    shop.publish([person("p1", **given), person("p2", "bob@example.com", "+16505550199")], [listed])
    waterfall = shop.json(code=0)["manifest"]["deliveries"][name]["audiences"]["at_risk"]["waterfall"]
    assert waterfall["has_identifier"] == 2 and waterfall["not_suppressed"] == 1 == waterfall["written"]


def test_listed_addresses_that_look_like_formulas_reach_the_destination(shop):
    shop.configure({"klaviyo": {"channel": "email", "audiences": ["at_risk"]}})
    emails = ["-dash@example.com", "+tag@example.com", "ok@example.com"]
    shop.publish([person("p1", "ann@example.com")], [suppression("email", "email", email) for email in emails])
    shop(code=0)
    assert sorted(shop.file("klaviyo/suppress.csv").read_text().split()[1:]) == sorted(emails)


def test_an_erased_phone_reaches_a_destination_that_holds_digits(shop):
    shop.configure({"salesforce_marketing_cloud": {"channel": "sms", "audiences": ["at_risk"]}})
    shop.publish([person("p1", "ann@example.com", "+16505551212"), person("p2", "bob@example.com", "+16505550199")], [])
    shop(code=0)
    shop("ack", RUN, code=0)
    shop.publish([person("p2", "bob@example.com", "+16505550199")],
                 [suppression(None, "phone", None, "erased", sha256("+16505551212"))])
    shop(code=0, now="2026-11-23T06:00:00")
    assert "16505551212" in shop.file("salesforce_marketing_cloud/suppress.csv", "20261123T060000Z").read_text()
