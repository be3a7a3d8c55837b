"""Who may be contacted: an oracle in plain Python against the export's joins, over a few thousand random people."""

import csv
import random
from collections import Counter
from datetime import datetime

import duckdb
import pytest

from published import CHANNELS, SEVERITY, judged, person, phone_forms, sha256, suppression
from shop import RUN

ADDRESSES = {"email": ["email"], "sms": ["phone_e164"], "push": ["app_user_id"], "ads": ["email", "phone_e164"]}
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
            address = rng.choice(phone_forms(rng.choice(phones)))
        else:
            address = f"u{rng.randrange(2000)}"
        listed[channel, kind, address] = (suppression(channel, kind, None, "erased", sha256(address)) if rng.random() < 0.4
                                         else suppression(channel, kind, address, reason))
    return people, list(listed.values())


def decide(people, channel):
    """{person_id: reason or None} of everybody: what the marts say, and who is held out."""
    decided = {}
    for one in people:
        row, (reason, _) = one["row"], one["channels"][channel]
        rank = 5 if row["stage"] == "erased" else SEVERITY.index(reason) + 1 if reason else 0
        has = any(row[field] for field in ADDRESSES[channel])
        decided[row["person_id"]] = ("erased" if rank == 5 else "no_identifier" if not has else SEVERITY[rank - 1] if rank
                                     else "held_out" if one["is_holdout"] is not False else None)
    return decided


@pytest.mark.parametrize("seed", [1, 2])
def test_nobody_who_said_no_and_everybody_who_may(shop, seed):
    people, suppressions = world(seed)
    shop.publish(people, suppressions)
    shop.configure({channel: {"destination": "csv", "channel": channel, "audiences": ["at_risk"], "identify_by": "person_id"}
                    for channel in CHANNELS})
    result, people = shop.json(code=0), list(judged(people, suppressions))
    for channel in CHANNELS:
        decided = decide(people, channel)
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


@pytest.mark.parametrize(("given", "channel", "listed"), [
    ({"email": "ann@example.com"}, "email", suppression("email", "email", "ann@example.com")),
    ({"email": "j.doe+x@gmail.com"}, "ads", suppression("ads", "email", "jdoe@gmail.com")),
    ({"email": "info@m\u00fcller.de"}, "email", suppression(None, "email", "info@xn--mller-kva.de")),
    ({"email": "info@m\u00fcller.de"}, "email", suppression("email", "email", None, "erased", sha256("info@xn--mller-kva.de"))),
    ({"app_user_id": "u1"}, "push", suppression("push", "user_id", "u1", "opted_out")),
    ({"phone": "+442079460134"}, "sms", suppression("sms", "phone", "+442079460134")),
    ({"phone": "+442079460134"}, "sms", suppression("sms", "phone", "02079460134")),
    ({"phone": "(415) 555-0134"}, "sms", suppression("sms", "phone", None, "erased", sha256("4155550134"))),
], ids=["itself", "mailbox", "domain", "hashed domain", "user", "phone", "national phone", "hashed national phone"])  # fmt: skip
def test_a_listed_address_that_the_marts_would_write_stops_the_run(shop, given, channel, listed):
    """The marts decide; the exporter checks again by the same key, and writes nothing where they contradict themselves."""
    shop.configure({"csv": {"channel": channel, "audiences": ["at_risk"]}})
    people = [person("p1", **given), person("p2", "bob@example.com", "+16505550199", app_user_id="u2")]
    shop.publish(people, [listed], agree=False)
    done = shop(code=3)
    assert "csv/at_risk: 1 people may be contacted by customer_channels, and their address is on suppression_list" in done.stderr
    assert not any(value and value in done.stderr for value in given.values()), "personal data in a message"
    shop.publish(people, [suppression(channel, "email", "somebody.else@gmail.com")], agree=False)
    shop(code=0)


def test_a_yes_may_have_followed_a_no_to_the_number_without_its_country(shop):
    """Only the marts know which came last."""
    shop.configure({"csv": {"channel": "sms", "audiences": ["at_risk"]}})
    shop.publish([person("p1", phone="+442079460134")], [suppression("sms", "phone", "02079460134", "opted_out")], agree=False)
    shop(code=0)
    assert "+442079460134" in shop.file("csv/at_risk.csv").read_text()


def test_a_listed_phone_is_not_written_beside_an_address(shop):
    """Of somebody who may be met by e-mail, the phone is somebody else's too: the marts refuse it by itself."""
    shop.configure({"csv": {"channel": "email", "audiences": ["at_risk"], "fields": ["phone"]},
                    "ads": {"destination": "csv", "channel": "ads", "audiences": ["at_risk"]}})
    shop.publish([person("p1", "ann@example.com", "+442079460134")],
                 [suppression("sms", "phone", "+442079460134"), suppression("ads", "phone", "02079460134", "opted_out")], agree=False)
    shop(code=0)
    assert "442079460134" not in shop.file("csv/at_risk.csv").read_text() + shop.file("ads/at_risk.csv").read_text()
    assert "ann@example.com" in shop.file("csv/at_risk.csv").read_text()


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


def test_one_address_is_in_a_file_once_however_its_domain_is_spelled(shop):
    shop.publish([person("b", "info@xn--mller-kva.de"), person("a", "info@m\u00fcller.de"), person("c", "other@m\u00fcller.de")], [])
    result = shop.json(code=0)
    assert shop.file("csv/at_risk.csv").read_text().splitlines()[1:] == ["info@m\u00fcller.de,Ann,at_risk", "other@m\u00fcller.de,Ann,at_risk"]
    assert result["manifest"]["deliveries"]["csv"]["audiences"]["at_risk"]["reasons"] == {"duplicate": 1}
