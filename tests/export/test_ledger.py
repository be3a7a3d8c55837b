"""What each destination is told after what it was told before: removals, noes, acks, lost and former state."""

import csv
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import time
from datetime import date, datetime, timedelta

import duckdb
import pytest

from audience_export.ledger import Ledger
from published import CHANNELS, person, sha256, suppression
from shop import EVERY, RUN, SPECS

DAYS = [f"2026-11-22T{6 + n:02}:00:00" for n in range(8)]  # hours, for the marts must not be old
RUNS = [f"20261122T{6 + n:02}0000Z" for n in range(8)]
CSV = {"destination": "csv", "channel": "email", "audiences": ["at_risk"], "mode": "delta"}


def crowd(count, **more):
    return [person(f"p{i:03}", f"person{i}@example.com", f"+1415555{i:04}", **more) for i in range(count)]


def cells(shop, path, run):
    """The first cells of the rows of a file; [] where there is none."""
    found = shop.folder / "exports" / run / path
    return [row[0] or row[1] for row in list(csv.reader(found.read_text("utf-8").splitlines()))[1:]] if found.exists() else []


def day(shop, number, people=None, listed=(), code=0, **more):
    if people is not None:
        shop.publish(people, list(listed))
    return shop(code=code, now=DAYS[number], **more)


def without(people, *numbers):
    return [one for i, one in enumerate(people) if i not in numbers]


# ---- between runs ----

def test_who_was_published_but_never_acknowledged_is_removed(shop):
    """Imported and not acknowledged: x came with the second run and left before the third."""
    shop.configure({"csv": CSV})
    day(shop, 0, crowd(3))
    shop("ack", RUNS[0], code=0)
    day(shop, 1, crowd(4))
    done = day(shop, 2, crowd(3))
    assert cells(shop, "csv/at_risk.removed.csv", RUNS[2]) == ["person3@example.com"]
    assert f"{RUNS[1]}: published, but not acknowledged (csv)" in done.stdout


@pytest.mark.parametrize("mode", ["full", "delta"])
def test_removals_are_told_in_every_mode(shop, mode):
    shop.configure({"csv": {**CSV, "mode": mode}})
    day(shop, 0, crowd(3))
    shop("ack", RUNS[0], code=0)
    day(shop, 1, crowd(2))
    assert cells(shop, "csv/at_risk.removed.csv", RUNS[1]) == ["person2@example.com"]
    assert len(cells(shop, "csv/at_risk.csv", RUNS[1])) == (2 if mode == "full" else 0)


def test_a_command_that_fails_after_uploading(shop):
    shop.configure({"csv": {**CSV, "command": ["false"]}})
    day(shop, 0, crowd(3), code=1)
    day(shop, 1, crowd(2), code=1)
    assert cells(shop, "csv/at_risk.removed.csv", RUNS[1]) == ["person2@example.com"]


def test_a_dropped_audience_gets_its_last_removals_and_hears_of_erasures(shop):
    shop.configure({"csv": {**CSV, "audiences": ["at_risk", "champions"]}})
    people = [person("a", "a@example.com"), person("b", "b@example.com", audiences=("champions",)), person("c", "c@example.com", audiences=("champions",))]
    day(shop, 0, people)
    shop("ack", RUNS[0], code=0)
    shop.configure({"csv": CSV})
    done = day(shop, 1)
    assert cells(shop, "csv/champions.removed.csv", RUNS[1]) == ["b@example.com", "c@example.com"]
    assert "no longer delivered" in done.stdout
    day(shop, 2)
    assert cells(shop, "csv/champions.removed.csv", RUNS[2]) == ["b@example.com", "c@example.com"], "until it is acknowledged"
    shop("ack", RUNS[2], code=0)
    day(shop, 3, [people[0], people[1], person("c", None, stage="erased", audiences=(), blocked=dict.fromkeys(CHANNELS, "erased"))],
        [suppression("email", "email", None, "erased", sha256("c@example.com"))])
    assert cells(shop, "csv/suppress.csv", RUNS[3]) == ["c@example.com"]


def test_a_dropped_delivery_gets_its_last_removals(shop):
    shop.configure({"csv": CSV, "ads": {**CSV, "destination": "meta", "channel": "ads"}})
    day(shop, 0, crowd(2))
    shop("ack", RUNS[0], code=0)
    shop.configure({"csv": CSV})
    day(shop, 1)
    assert sorted(cells(shop, "ads/at_risk.removed.csv", RUNS[1])) == sorted(
        sha256(text) for text in ("person0@example.com", "person1@example.com", "14155550000", "14155550001"))
    shop("ack", RUNS[1], code=0)
    assert "nothing changed" in day(shop, 2).stdout
    assert not (shop.folder / "exports" / RUNS[2]).exists()


def test_deliveries_of_another_file_are_not_dropped(shop):
    shop.configure({"csv": CSV, "other": CSV})
    day(shop, 0, crowd(2))
    shop("ack", RUNS[0], code=0)
    text = (shop.folder / "destinations.yml").read_text()
    shop.configure({"csv": CSV})
    (shop.folder / "mine.yml").write_text((shop.folder / "destinations.yml").read_text())
    (shop.folder / "destinations.yml").write_text(text)
    assert "nothing changed" in shop("--config", "mine.yml", code=0, now=DAYS[1]).stdout
    assert not (shop.folder / "exports" / RUNS[1]).exists()


@pytest.mark.parametrize("said", [True, False])
def test_a_renamed_delivery(shop, said):
    """With renamed_from its ledger moves; without, who left is removed under the old name, and nobody else is."""
    shop.configure({"old": CSV})
    day(shop, 0, crowd(3))
    shop("ack", RUNS[0], code=0)
    shop.configure({"new": {**CSV, **({"renamed_from": "old"} if said else {})}})
    day(shop, 1, crowd(2))
    assert cells(shop, f"{'new' if said else 'old'}/at_risk.removed.csv", RUNS[1]) == ["person2@example.com"]
    assert cells(shop, "new/at_risk.added.csv", RUNS[1]) == ([] if said else ["person0@example.com", "person1@example.com"])
    shop("ack", RUNS[1], code=0)
    assert "nothing changed" in day(shop, 2).stdout


def test_another_identifier_removes_by_the_old_one(shop):
    """R11: one file per shape."""
    shop.configure({"csv": CSV})
    day(shop, 0, crowd(2))
    shop("ack", RUNS[0], code=0)
    shop.configure({"csv": {**CSV, "identify_by": "person_id"}})
    day(shop, 1)
    assert cells(shop, "csv/at_risk.added.csv", RUNS[1]) == ["p000", "p001"]
    (old,) = (shop.folder / "exports" / RUNS[1] / "csv").glob("at_risk.removed.*.csv")
    assert old.read_text() == "email\nperson0@example.com\nperson1@example.com\n"


def test_a_list_that_only_adds_says_who_is_in_it(shop):
    shop.configure({"klaviyo": {"channel": "email", "audiences": ["at_risk"]}})
    day(shop, 0, crowd(2))
    assert (shop.folder / "exports" / RUNS[0] / "klaviyo/at_risk.added.csv").read_text().splitlines()[0].endswith(",In At Risk")
    shop("ack", RUNS[0], code=0)
    day(shop, 1, crowd(1))
    assert (shop.folder / "exports" / RUNS[1] / "klaviyo/at_risk.removed.csv").read_text() == "Email,In At Risk\nperson1@example.com,false\n"


# ---- who said no ----

HEARS = {  # {delivery: (given, what it was given of p000 by that it has to be told)}
    "email": ({"destination": "klaviyo", "channel": "email"}, ["p.0@gmail.com"]),
    "sms": ({"destination": "klaviyo", "channel": "sms"}, ["+14155550000"]),
    "digits": ({"destination": "salesforce_marketing_cloud", "channel": "sms"}, ["14155550000"]),
    "push": ({"destination": "braze", "channel": "push"}, ["u0"]),
    "own": ({"destination": "iterable", "channel": "email", "identify_by": "primary_customer_id"}, ["c-p000"]),
    "salted": ({"destination": "hashed_csv", "channel": "email", "salt_env": "TEST_SALT"}, [sha256("pepperp.0@gmail.com")]),
    "meta": ({"destination": "meta", "channel": "ads", "mode": "delta"}, [sha256("p.0@gmail.com"), sha256("14155550000")]),
    "google": ({"destination": "google", "channel": "ads", "mode": "delta", "attest": ["ad_user_data", "ad_personalization"]},
               [sha256("p0@gmail.com"), sha256("+14155550000")]),
}


@pytest.mark.parametrize("left", [False, True])
def test_an_erasure_by_email_is_told_wherever_the_person_was_delivered(shop, left):
    """By each identifier, in the next run; whether or not the marts still have a row of the person."""
    env = {"TEST_SALT": "pepper"}
    shop.configure({name: {**given, "audiences": ["at_risk"]} for name, (given, _) in HEARS.items()})
    people = crowd(3)
    for i, one in enumerate(people):
        one["row"].update(app_user_id=f"u{i}", email=f"p.{i}@gmail.com")
    day(shop, 0, people, env=env)
    shop("ack", RUNS[0], code=0, env=env)
    gone = [] if left else [person("p000", None, stage="erased", audiences=(), blocked=dict.fromkeys(CHANNELS, "erased"))]
    listed = [suppression(channel, kind, None, "erased", sha256(address)) for channel in CHANNELS
              for kind, address in (("email", "p.0@gmail.com"), ("phone", "+14155550000"), ("user_id", "u0"))]
    day(shop, 1, [*gone, *people[1:]], listed, env=env)
    for name, (given, values) in HEARS.items():
        told = [cell for path in (shop.folder / "exports" / RUNS[1] / name).iterdir() if path.name.startswith(("suppress", "at_risk.removed"))
                for cell in cells(shop, f"{name}/{path.name}", RUNS[1]) if given["channel"] == "ads" or path.name.startswith("suppress")]
        assert set(values) <= set(told), name
        assert not {cell for cell in told if cell.startswith(("p.1", "+14155550001", "u1", "c-p001"))}


@pytest.mark.parametrize("people", [4, 3])
def test_erased_identifiers_are_forgotten_once_they_are_told(shop, people):
    """R15: a keyed hash stays; also on a day on which nothing changed (people: 3)."""
    shop.configure({"csv": CSV})
    day(shop, 0, crowd(3))
    shop("ack", RUNS[0], code=0)
    gone = person("p000", None, stage="erased", audiences=(), blocked=dict.fromkeys(CHANNELS, "erased"))
    day(shop, 1, [gone, *crowd(3)[1:]], [suppression("email", "email", None, "erased", sha256("person0@example.com"))])
    shop("ack", RUNS[1], code=0)
    day(shop, 2, [gone, *crowd(people)[1:]])
    found = []
    for path in (shop.folder / "state/deliveries/ledger").glob("*.parquet"):
        found += [str(row) for row in duckdb.execute(f"from '{path}'").fetchall()]
    assert found and not any("person0@" in row for row in found) and any("person1@" in row for row in found)
    if (shop.folder / "exports" / RUNS[2]).exists():
        shop("ack", RUNS[2], code=0)
    assert cells(shop, "csv/suppress.csv", RUNS[2]) == []
    day(shop, 3, [gone, *crowd(people)[1:]])
    assert not (shop.folder / "exports" / RUNS[3]).exists()


def test_who_shared_what_is_forgotten_is_still_who_the_rest_was_written_for(shop):
    """R9 after R15: a phone that an erased person shared is forgotten; the e-mail beside it is still that of who says no later."""
    shop.configure({"meta": {"channel": "ads", "mode": "delta", "audiences": ["at_risk"]}})
    shared, more = "+14155550000", crowd(5)[1:]
    day(shop, 0, [person("erased", "erased@example.com", shared), person("other", "other@example.com", shared), *more])
    shop("ack", RUNS[0], code=0)
    gone = person("erased", None, stage="erased", audiences=(), blocked=dict.fromkeys(CHANNELS, "erased"))
    listed = [suppression("ads", kind, None, "erased", sha256(address)) for kind, address in (("email", "erased@example.com"), ("phone", shared))]
    for number in (1, 2):
        day(shop, number, [gone, person("other", "moved@example.com", None), *more[number:]], listed)
        shop("ack", RUNS[number], code=0)
    assert not [path for path in (shop.folder / "state/deliveries/ledger").glob("*.parquet")
                for row in duckdb.execute(f"from '{path}'").fetchall() if sha256("14155550000") in str(row)], "it is forgotten"
    moved = person("other", "moved@example.com", None, blocked=dict.fromkeys(CHANNELS, "unsubscribed"))
    day(shop, 3, [gone, moved, person("new", "other@example.com", None), *more[2:]], listed)
    assert sha256("other@example.com") not in cells(shop, "meta/at_risk.added.csv", RUNS[3])


def test_a_former_address_of_an_erased_person_stays_bad_for_whoever_has_it_now(shop):
    """R9 after R15: the row is forgotten by its phone; the e-mail in it is kept, for it was written for somebody else, too."""
    shop.configure({"meta": {"channel": "ads", "mode": "delta", "audiences": ["at_risk"]}})
    phone, more = "+14155550000", crowd(6)[1:]
    day(shop, 0, [person("erased", "first@example.com", phone), *more])
    shop("ack", RUNS[0], code=0)
    day(shop, 1, [person("erased", "second@example.com", phone), person("new", "first@example.com"), *more])
    shop("ack", RUNS[1], code=0)
    gone = person("erased", None, stage="erased", audiences=(), blocked=dict.fromkeys(CHANNELS, "erased"))
    listed = [suppression("ads", kind, None, "erased", sha256(address)) for kind, address in (("email", "second@example.com"), ("phone", phone))]
    for number in (2, 3, 4):
        day(shop, number, [gone, person("new", "first@example.com", f"+1415555010{number}"), *more[number - 1:]], listed)
        assert sha256("first@example.com") not in cells(shop, "meta/at_risk.added.csv", RUNS[number]), number
        shop("ack", RUNS[number], code=0)


def test_what_stood_beside_a_forgotten_address_is_not_forgotten(shop):
    """R15: somebody else came to have the e-mail, and was erased; the phone beside it is still its owner's, and stays delivered."""
    shop.configure({"meta": {"channel": "ads", "mode": "delta", "audiences": ["at_risk"]}})
    phone, more = "+14155550000", crowd(7)[1:]
    day(shop, 0, [person("owner", "first@example.com", phone), *more])
    shop("ack", RUNS[0], code=0)
    owner = person("owner", "second@example.com", phone)
    day(shop, 1, [owner, person("taker", "first@example.com"), *more])
    shop("ack", RUNS[1], code=0)
    gone = person("taker", None, stage="erased", audiences=(), blocked=dict.fromkeys(CHANNELS, "erased"))
    listed = [suppression("ads", "email", None, "erased", sha256("first@example.com"))]
    for number in (2, 3, 4):
        day(shop, number, [gone, owner, *more[number - 1:]], listed)
        told = cells(shop, "meta/at_risk.removed.csv", RUNS[number])
        assert (sha256("first@example.com") in told) == (number == 2) and sha256("14155550000") not in told, number
        shop("ack", RUNS[number], code=0)


def test_the_own_id_of_whoever_has_an_erased_address_is_not_forgotten(shop):
    """R15: their id was told because of the address; it is no identifier of the erased person."""
    shop.configure({"csv": {**CSV, "identify_by": "person_id"}})
    more = crowd(5)
    day(shop, 0, [person("erased", "first@example.com"), person("taker", "first@example.com"), *more])
    shop("ack", RUNS[0], code=0)
    gone = person("erased", None, stage="erased", audiences=(), blocked=dict.fromkeys(CHANNELS, "erased"))
    listed = [suppression("email", "email", None, "erased", sha256("first@example.com"))]
    for number in (1, 2, 3):
        day(shop, number, [gone, person("taker", "first@example.com"), *more[number:]], listed)
        shop("ack", RUNS[number], code=0)
    rows = [str(row) for path in (shop.folder / "state/deliveries/ledger").glob("*.parquet") for row in duckdb.execute(f"from '{path}'").fetchall()]
    assert any("b'taker'" in row and "erased" in row for row in rows), "what was told of them is known"


@pytest.mark.parametrize("reason", ["hard_bounce", "erased"])
def test_an_own_id_is_lifted_once_it_has_another_address(shop, reason):
    """R10: what was told of an id of one's own because of an address holds for as long as it is written with that."""
    shop.configure({"csv": {**CSV, "identify_by": "person_id", "fields": ["email"]}})
    more = crowd(5)
    day(shop, 0, [person("a", "old@example.com"), *more])
    shop("ack", RUNS[0], code=0)
    listed = [suppression("email", "email", *((None, "erased", sha256("old@example.com")) if reason == "erased" else ("old@example.com", reason)))]
    day(shop, 1, [person("a", "old@example.com"), *more], listed)
    assert "a" in [row[0] for row in csv.reader((shop.folder / "exports" / RUNS[1] / "csv/suppress.person_id.csv").open())]
    shop("ack", RUNS[1], code=0)
    day(shop, 2, [person("a", "new@example.com", consented_at=datetime(2026, 11, 22, 7, 30)), *more[1:]], listed)
    assert cells(shop, "csv/at_risk.added.csv", RUNS[2]) == ["a"]
    shop("ack", RUNS[2], code=0)
    day(shop, 3, [person("a", "new@example.com", consented_at=datetime(2026, 11, 22, 7, 30)), *more[2:]], listed)
    lifted = cells(shop, "csv/unsuppress.person_id.csv", RUNS[3])
    assert "a" not in cells(shop, "csv/suppress.person_id.csv", RUNS[3]) and lifted == ["a"]


def test_told_by_hand(shop):
    shop.configure({"csv": CSV})
    day(shop, 0, crowd(3))
    gone = person("p000", None, stage="erased", audiences=(), blocked=dict.fromkeys(CHANNELS, "erased"))
    shop("ack", "--told", "person0@example.com", code=0)
    day(shop, 1, [gone, *crowd(3)[1:]])
    assert cells(shop, "csv/suppress.csv", RUNS[1]) == []
    assert "--told" in shop("ack", "--told", "nobody@example.com", code=2).stderr
    shop("ack", code=2)


@pytest.mark.parametrize("mode", ["full", "delta"])
def test_an_old_address_hears_of_the_no_under_the_new_one(shop, mode):
    shop.configure({"klaviyo": {"channel": "sms", "audiences": ["at_risk"], "mode": mode}})
    day(shop, 0, [person("a", None, "+14155550101"), person("b", None, "+14155550102")])
    shop("ack", RUNS[0], code=0)
    day(shop, 1, [person("a", None, "+14155550199", blocked={"sms": "unsubscribed"}), person("b", None, "+14155550102")],
        [suppression("sms", "phone", "+14155550199")])
    assert cells(shop, "klaviyo/suppress.csv", RUNS[1]) == ["+14155550101", "+14155550199"]


def test_who_said_nothing_is_removed_and_never_suppressed(shop):
    shop.configure({"csv": CSV})
    people = crowd(3)
    day(shop, 0, people)
    shop("ack", RUNS[0], code=0)
    shop.publish([person("p000", "person0@example.com", consent=()), *people[1:]], [])
    with duckdb.connect(str(shop.source)) as con:
        con.execute("update marts.customer_channels set consent_status = null, own_no_reason = null where person_id = 'p000'")
    shop(code=0, now=DAYS[1])
    assert cells(shop, "csv/at_risk.removed.csv", RUNS[1]) == ["person0@example.com"]
    assert cells(shop, "csv/suppress.csv", RUNS[1]) == []


def test_an_explicit_no_is_told_until_its_first_ack(shop):
    shop.configure({"csv": CSV})
    listed = [suppression("email", "email", "stranger@example.com")]
    for number in range(2):
        day(shop, number, crowd(2), listed)
        assert cells(shop, "csv/suppress.csv", RUNS[number]) == ["stranger@example.com"]
    shop("ack", RUNS[1], code=0)
    day(shop, 2, crowd(3), listed)
    assert cells(shop, "csv/suppress.csv", RUNS[2]) == []
    shutil.rmtree(shop.folder / "state")
    day(shop, 3, crowd(3), listed)
    assert cells(shop, "csv/suppress.csv", RUNS[3]) == ["stranger@example.com"], "after state loss again"


def test_noes_are_shared_by_the_deliveries_of_an_account(shop):
    listed = [suppression("email", "email", "stranger@example.com")]
    shop.configure({"a": {**CSV, "account": "one"}, "b": {**CSV, "audiences": ["champions"], "account": "one"}})
    day(shop, 0, crowd(2, audiences=("at_risk", "champions")), listed)
    shop("ack", RUNS[0], "--destination", "a", code=0)
    day(shop, 1)
    assert cells(shop, "b/suppress.csv", RUNS[1]) == []
    shop.configure({"a": {**CSV, "account": "one"}, "b": {**CSV, "account": "one"}})
    assert "two of them write 'at_risk'" in shop(code=2, now=DAYS[2]).stderr


def test_a_shared_key_is_bad_when_anybody_it_was_written_for_said_no(shop):
    """R9: one step only; the other's other addresses are not."""
    shop.configure({"meta": {"channel": "ads", "audiences": ["at_risk"], "mode": "delta"}})
    day(shop, 0, [person("a", "a@example.com", "+14155550101"), person("b", "b@example.com", "+14155550102")])
    shop("ack", RUNS[0], code=0)
    day(shop, 1, [person("a", "a@example.com", "+14155550109", consent=()), person("b", "b@example.com", "+14155550101"), person("c", "c@example.com")])
    removed = set(cells(shop, "meta/at_risk.removed.csv", RUNS[1]))
    assert {sha256("a@example.com"), sha256("14155550101")} <= removed
    assert cells(shop, "meta/at_risk.added.csv", RUNS[1]) == [sha256("c@example.com")]


@pytest.mark.parametrize("mode", ["full", "delta"])
def test_whom_a_row_is_for_is_kept_where_the_row_is_as_it_was(shop, mode):
    """R2: an address goes from one person to another, who says no under a new one; the row never changed."""
    shop.configure({"csv": {**CSV, "mode": mode, "fields": ["first_name"]}})
    more = crowd(5)
    day(shop, 0, [person("a", "x@example.com"), person("b", "b@example.com"), *more])
    shop("ack", RUNS[0], code=0)
    day(shop, 1, [person("a", "a@example.com"), person("b", "x@example.com"), *more])
    shop("ack", RUNS[1], code=0)
    day(shop, 2, [person("a", "x@example.com"), person("b", "new@example.com", consent=()), *more[1:]], [suppression("email", "email", "new@example.com")])
    kind = "added." if mode == "delta" else ""
    assert "x@example.com" not in cells(shop, f"csv/at_risk.{kind}csv", RUNS[2])
    assert "x@example.com" in cells(shop, "csv/suppress.csv", RUNS[2])


@pytest.mark.parametrize(("destination", "lifts"), [("csv", True), ("klaviyo", False)])
@pytest.mark.parametrize(("reason", "again", "may"), [
    ("opted_out", datetime(2026, 11, 22, 6, 30), True), ("complaint", datetime(2026, 11, 22, 6, 30), False), ("opted_out", datetime(2026, 11, 21), False)])
def test_a_yes_after_our_no_is_lifted_where_it_can_be(shop, destination, lifts, reason, again, may):  # noqa: PLR0917
    """R10: only for a yes dated after the suppression was published, never after a complaint; else it is counted."""
    shop.configure({"vendor": {**CSV, "destination": destination}})
    day(shop, 0, [person("a", "a@example.com", consent=()), person("b", "b@example.com")], [suppression("email", "email", "a@example.com", reason)])
    shop("ack", RUNS[0], code=0)
    shop.publish([person("a", "a@example.com", consented_at=again), person("b", "b@example.com")], [])
    result = shop.json(code=0, now=DAYS[1])
    assert cells(shop, "vendor/unsuppress.csv", RUNS[1]) == ["a@example.com"] * (lifts and may)
    assert result["manifest"]["deliveries"]["vendor"].get("cannot_be_lifted", 0) == int(may and not lifts)


@pytest.mark.parametrize("again", [datetime(2026, 11, 22, 7, 30), datetime(2026, 11, 22, 6, 30)])
def test_a_yes_is_told_by_the_identifier_that_was_told_the_no(shop, again):
    """R10 of an id of one's own, of which unsuppress.csv has no column; a yes from before the no was told lifts nothing."""
    shop.configure({"csv": {**CSV, "identify_by": "person_id"}})
    day(shop, 0, crowd(3))
    shop("ack", RUNS[0], code=0)
    day(shop, 1, [person("p000", "person0@example.com", consent=()), *crowd(3)[1:]], [suppression("email", "email", "person0@example.com", "opted_out")])
    assert cells(shop, "csv/suppress.person_id.csv", RUNS[1]) == ["p000"]
    shop("ack", RUNS[1], code=0)
    day(shop, 2, [person("p000", "person0@example.com", consented_at=again), *crowd(3)[1:]])
    lifted = ["p000"] * (again.hour == 7)
    assert cells(shop, "csv/unsuppress.person_id.csv", RUNS[2]) == lifted
    shop("ack", RUNS[2], code=0)
    day(shop, 3, [person("p000", "person0@example.com", consented_at=again), *crowd(4)[1:]])
    assert cells(shop, "csv/unsuppress.person_id.csv", RUNS[3]) == []


def test_a_no_after_a_lift_by_another_delivery_of_the_account_is_told_again(shop):
    """R1: suppressions are the account's, so what one delivery told and another one lifted nobody is told of any more."""
    people, listed = [person("b", "b@example.com")], [suppression("email", "email", "a@example.com", "opted_out")]
    no, yes = [person("a", "a@example.com", consent=()), *people], [person("a", "a@example.com", consented_at=datetime(2026, 11, 22, 12)), *people]
    shop.configure({"one": {**CSV, "account": "main"}})
    day(shop, 0, no, listed)
    shop("ack", RUNS[0], code=0)
    shop.configure({"other": {**CSV, "account": "main"}})
    for number, (those, list_) in enumerate([(yes, []), (no, listed)], start=1):
        day(shop, number, those, list_)
        shop("ack", RUNS[number], code=0)
    assert cells(shop, "other/unsuppress.csv", RUNS[1]) == []  # acknowledged, so withdrawn
    told = [event for event in (json.loads(path.read_text()) for path in sorted((shop.folder / "state/deliveries/ledger").glob("*.json")))
            if event["event"] == "published"]
    signs = [sorted((part["sign"], part["rows"]) for part in event["deliveries"].get("other", {"parts": []})["parts"] if part["audience"] == "") for event in told]
    assert signs == [[], [("minus", 1)], [("plus", 1)]]


# ---- guards ----

def test_a_blocked_run_takes_nobody_out_of_a_list_that_only_a_whole_one_replaces(shop):
    """R8: it tells the no, and the list that the destination has stays as it is, acknowledged or not."""
    shop.configure({"sfmc": {"destination": "salesforce_marketing_cloud", "channel": "email", "audiences": ["at_risk"]}}, guards={})
    people = crowd(100)
    day(shop, 0, people)
    shop("ack", RUNS[0], code=0)
    shop.publish([person("p000", "person0@example.com", consent=()), *people[40:]], [suppression("email", "email", "person0@example.com", "opted_out")])
    shop.json(code=4, now=DAYS[1])
    shop("ack", RUNS[1], code=0)
    parts = [part for part in Ledger(shop.folder / "state").parts if part["run"] == RUNS[1]]
    assert [(part["audience"], part["sign"], part["rows"]) for part in parts] == [("", "plus", 1)]


def test_one_who_opts_in_again_blocks_nothing(shop):
    shop.configure({"csv": CSV}, guards={})
    listed = [suppression("email", "email", f"x{i}@example.com", "opted_out") for i in range(3)]
    day(shop, 0, crowd(30), listed)
    shop("ack", RUNS[0], code=0)
    shop.publish(crowd(31), listed[1:])
    shop(code=0, now=DAYS[1])


@pytest.mark.parametrize("mode", ["full", "delta"])
def test_noes_and_their_removals_do_not_wait_for_a_guard(shop, mode):
    shop.configure({"csv": {**CSV, "mode": mode}}, guards={})
    people = crowd(100)
    day(shop, 0, people)
    shop("ack", RUNS[0], code=0)
    gone = person("p001", None, stage="erased", audiences=(), blocked=dict.fromkeys(CHANNELS, "erased"))
    shop.publish([person("p000", "person0@example.com", consent=()), gone, *people[40:]],
                 [suppression("email", "email", "person0@example.com", "opted_out"), suppression("email", "email", None, "erased", sha256("person1@example.com"))])
    done = shop.json(code=4, now=DAYS[0].replace("06:", "09:"))
    assert done["guards"]
    run = "20261122T090000Z"
    noes = ["person0@example.com", "person1@example.com"]
    assert cells(shop, "csv/suppress.csv", run) == noes == cells(shop, "csv/at_risk.removed.csv", run)
    assert {path.name for path in (shop.folder / "exports" / run / "csv").iterdir()} == {"suppress.csv", "at_risk.removed.csv"}
    shop("ack", run, code=0)
    assert shop.json(code=4, now=DAYS[0].replace("06:", "10:"))["folder"] is None, "there is nothing more to tell"


def test_noes_alone_are_those_of_a_blocked_run(shop):
    """From marts that know of no audience the same is written, past every guard, as from whole ones that a guard blocks."""
    deliveries = {name: {**EVERY[name], "audiences": ["at_risk"]} for name in ("csv", "klaviyo", "brevo", "meta", "customerio", "iterable_id")}
    shop.configure(deliveries)
    day(shop, 0, crowd(10))
    shop("ack", RUNS[0], code=0)
    gone = person("p008", None, stage="erased", audiences=(), blocked=dict.fromkeys(CHANNELS, "erased"))
    shop.publish([*crowd(8), gone], [suppression("email", "email", "person3@example.com"), suppression("ads", "email", "person4@example.com"),
                          suppression(None, "email", reason="erased", sha=sha256("person8@example.com"))])
    home, other = shop.folder, shop.folder.with_name("other")
    shutil.copytree(home, other)
    shop.configure(deliveries, guards={"shrank": 0})
    blocked = shop.json(code=4, now=DAYS[1])
    with duckdb.connect(str(other / "published.duckdb")) as con:
        con.execute("delete from marts.audience_members; create table marts.noes_only as select 1 as mark")
    shop.folder, shop.source = other, other / "published.duckdb"
    assert "give --noes-only" in shop(code=3, now=DAYS[1]).stderr
    alone = shop.json("run", "--noes-only", code=0, now=DAYS[1])
    assert (alone["status"], alone["guards"]) == ("published", [])
    assert alone["manifest"]["deliveries"].keys() == blocked["manifest"]["deliveries"].keys() == deliveries.keys()

    def files(folder):
        root = folder / "exports" / alone["run"]
        return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file() and path.name != "manifest.json"}

    assert files(other) == files(home)
    assert any(".removed" in name for name in files(other)) and any("suppress" in name for name in files(other))


@pytest.mark.parametrize(("hours", "code"), [(50, 0), (250, 4)])
def test_an_export_that_stands_still_blocks(shop, hours, code):
    """By when it was loaded: an ESP's export may be silent for weeks, but it must not be the same file."""
    shop.configure({"csv": CSV}, guards={})
    shop.publish(crowd(3), [])
    with duckdb.connect(str(shop.source)) as con:
        con.execute(f"""create table marts.source_tables as select 'esp' as source, unnest(['suppressions', 'campaigns']) as table_name, 9 as staged_rows,
            0 as days_behind, unnest([timestamp '{DAYS[0]}' - interval {hours} hours, timestamp '2020-01-01']) as loaded_at,
            unnest([true, false]) as says_no""")
    done = shop(code=code, now=DAYS[0])
    assert ("the suppressions of 'esp' were last loaded 250 hours ago" in done.stderr) == (code == 4)


# ---- acks ----

def test_refused_rows_are_not_held(shop):
    shop.configure({"meta": {"channel": "ads", "audiences": ["at_risk"], "mode": "delta"}})
    day(shop, 0, crowd(3))
    (shop.folder / "bad.txt").write_text(f"{sha256('person1@example.com')}\n")
    (shop.folder / "unknown.txt").write_text("who@example.com\n")
    assert "1 of 1 lines name nobody" in shop("ack", RUN, "--destination", "meta", "--refused", "unknown.txt", code=2).stderr
    assert "but for 1 rows" in shop("ack", RUN, "--destination", "meta", "--refused", "bad.txt", code=0).stdout
    day(shop, 1)
    assert cells(shop, "meta/at_risk.added.csv", RUNS[1]) == [sha256("person1@example.com")]
    assert shop("ack", RUNS[1], "--refused", "bad.txt", code=2).stderr.count("\n") == 1


def test_an_ack_finds_the_state_of_its_run(shop):
    shop.configure({"csv": CSV})
    shop.publish(crowd(3), [])
    words = shop.command()
    words[words.index("--state") + 1] = "elsewhere"
    assert shop.inside(words, {}).returncode == 0
    shop("ack", RUN, code=0)
    assert not (shop.folder / "state" / "deliveries" / "ledger").exists()
    ledger = Ledger(shop.folder / "elsewhere")
    assert ledger.entry(RUN, "csv").acked and not (shop.folder / "exports" / RUN).exists()


def test_an_ack_withdraws_the_run_and_older_ones_of_the_delivery(shop):
    """R4. What is withheld is still to be read."""
    shop.configure({"csv": {**CSV, "fields": ["first_name"]}, "ads": {**CSV, "destination": "meta", "channel": "ads"}})
    people = crowd(3)
    people[0]["row"]["first_name"] = "=1"
    day(shop, 0, people, code=5)
    day(shop, 1, code=5)
    shop("ack", RUNS[1], "--destination", "csv", code=0)
    for run in RUNS[:2]:
        folder = shop.folder / "exports" / run
        assert sorted(path.name for path in folder.iterdir()) == ["ads", "manifest.json", "quarantine.csv"]
        assert list(json.loads((folder / "manifest.json").read_text())["deliveries"]) == ["ads"]
    shop("ack", RUNS[1], code=0)
    assert not list((shop.folder / "exports").iterdir())
    assert "p000" in (shop.folder / f"state/deliveries/logs/{RUNS[1]}-quarantine.csv").read_text()


# ---- state ----

def test_the_ledger_is_private(shop):
    shop.configure({"csv": CSV})
    day(shop, 0, crowd(3))
    paths = list((shop.folder / "state").rglob("*"))
    assert len([path for path in paths if path.suffix == ".parquet"]) == 1
    open_ones = [path.name for path in paths if stat.S_IMODE(path.stat().st_mode) != (0o700 if path.is_dir() else 0o600)]
    assert open_ones == []


def test_a_lost_state_is_read_back_from_the_runs_that_lie_there(shop):
    shop.configure({"csv": CSV, "meta": {"channel": "ads", "audiences": ["at_risk"], "mode": "delta"}})
    day(shop, 0, crowd(4))
    shutil.rmtree(shop.folder / "state")
    done = day(shop, 1, crowd(3))
    assert f"{RUN}: the state did not know this run" in done.stdout
    assert cells(shop, "csv/at_risk.removed.csv", RUNS[1]) == ["person3@example.com"]
    assert sorted(cells(shop, "meta/at_risk.removed.csv", RUNS[1])) == sorted([sha256("person3@example.com"), sha256("14155550003")])
    assert len(cells(shop, "csv/at_risk.added.csv", RUNS[1])) == 3, "nothing is surely there"


def test_snapshots_of_former_versions_are_read_once(shop):
    shop.configure({"csv": {**CSV, "fields": ["first_name"]}})
    folder = shop.folder / "state/deliveries/acknowledged/csv" / RUN
    folder.mkdir(parents=True)
    duckdb.execute(f"""copy (select md5(json_array(i0, 'Ann')::varchar)::uuid as digest, i0 from (
        select 'person' || i || '@example.com' as i0 from range(3) t(i))) to '{folder}/at_risk.parquet'""")
    (folder / "ack.json").write_text(json.dumps({"run": RUN, "delivery": "csv", "created_at": f"{DAYS[0]}+00:00", "suppress": [],
                                                 "audiences": {"at_risk": {"fingerprint": "x"}}}))
    done = day(shop, 1, crowd(4)[1:])
    assert "state of a former version" in done.stdout
    assert cells(shop, "csv/at_risk.removed.csv", RUNS[1]) == ["person0@example.com"]
    assert cells(shop, "csv/at_risk.added.csv", RUNS[1]) == ["person3@example.com"] and cells(shop, "csv/at_risk.changed.csv", RUNS[1]) == []
    assert not (shop.folder / "state/deliveries/acknowledged").exists()
    assert "former" not in day(shop, 2).stdout


def test_operations_are_merged_and_bounded(shop, monkeypatch):
    """R14: never acknowledged, they are bounded by the keys times a constant, not by the runs."""
    monkeypatch.setattr("audience_export.ledger.MERGE", 4)
    shop.configure({"csv": {**CSV, "fields": ["first_name"]}}, expires_after_days=2)
    counts = []
    for number in range(24):
        people = crowd(20)
        for one in people[number % 3::3]:
            one["row"]["first_name"] = f"N{number}"
        shop.publish(people[number % 5:], [], as_of=date(2026, 11, 30) + timedelta(days=number))
        shop(code=0, now=f"2026-12-{1 + number:02}T06:00:00")
        counts.append(sum(part["rows"] for part in Ledger(shop.folder / "state").parts))
    assert max(counts[12:]) <= 20 * 8 and len(Ledger(shop.folder / "state").parts) < 20
    assert len(list((shop.folder / "state/deliveries/ledger").glob("*.parquet"))) == len(Ledger(shop.folder / "state").parts)


@pytest.mark.parametrize("command", ["run", "ack", "command"])
def test_kill_9_leaves_the_ledger_as_what_happened(shop, command):
    """Whatever can be imported is published by the ledger; what is acknowledged cannot be imported any more."""
    times, rng = (17 if os.environ.get("TEST_LONG") else 2), random.Random(command)
    shop.configure({"csv": {**CSV, **({"command": ["sleep", "0.3"]} if command == "command" else {})}})
    shop.publish(crowd(2000), [])
    start = time.perf_counter()
    shop(code=0, process=True)
    duration = time.perf_counter() - start
    for n in range(times):
        now, run = f"2026-11-22T07:{n:02}:00", f"20261122T07{n:02}00Z"
        if command == "ack":
            shop(code=0, now=now)
        words = shop.command("ack", run) if command == "ack" else shop.command(now=now)
        child = subprocess.Popen(words, cwd=shop.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(duration * rng.uniform(0.3, 1.1) * (0.5 if command == "ack" else 1))
        child.send_signal(signal.SIGKILL)
        child.wait()
        ledger = Ledger(shop.folder / "state")
        runs = {path.parent.name for path in (shop.folder / "exports").glob("*/manifest.json") if not path.parent.name.startswith(".")}
        assert runs <= {entry.run for entry in ledger.entries}
        assert not {entry.run for entry in ledger.entries if entry.acked} & runs
        for part in ledger.parts:
            assert (ledger.folder / part["file"]).exists()
    shop.configure({"csv": CSV})
    shop.publish(crowd(1999), [])
    shop(code=0, now="2026-11-22T09:00:00")
    assert cells(shop, "csv/at_risk.removed.csv", "20261122T090000Z") == ["person1999@example.com"]


def test_every_destination_says_what_its_imports_do():
    assert {name for name, spec in SPECS.items() if spec.get("imports") == "adds"} == {
        "klaviyo", "mailchimp", "braze", "hubspot", "iterable", "customerio", "brevo", "activecampaign", "sendgrid", "omnisend"}
    assert {name for name, spec in SPECS.items() if spec.get("imports") == "replaces"} == {"salesforce_marketing_cloud", "linkedin"}


def test_what_was_written_under_a_former_name_of_the_delivery_is_bad_too(shop):
    """R9: whoever has a phone now is not written under it, since it was written for somebody who said no."""
    ads = {"destination": "csv", "channel": "ads", "audiences": ["at_risk"], "mode": "delta"}
    shop.configure({"ads": ads})
    day(shop, 0, [person("a", "a@example.com", "+14155550101"), person("b", "b@example.com", "+14155550102")])
    shop.configure({"ads_renamed": ads})
    people = [person("a", "a@example.com", "+14155550103", blocked={"ads": "unsubscribed"}), person("b", "b@example.com", "+14155550101")]
    day(shop, 1, people, [suppression("ads", "email", "a@example.com")])
    added = (shop.folder / "exports" / RUNS[1] / "ads_renamed/at_risk.added.csv").read_text()
    assert "b@example.com" in added and "+14155550101" not in added, "one step only: the other address is theirs"
    assert "+14155550101" in cells(shop, "ads/at_risk.removed.csv", RUNS[1])
