"""`explain`: why somebody is written or not, and what destinations were told of them; without an address, without a trace."""

import io
import re
from unittest import mock

import published
from published import person, sha256, suppression
from shop import RUN

DAY2, RUN2, DAY3 = "2026-11-22T12:00:00", "20261122T120000Z", "2026-11-22T18:00:00"
KLAVIYO = {"klaviyo": {"channel": "email", "audiences": ["at_risk", "champions"], "fields": ["first_name"], "mode": "delta"}}


def explain(shop, who, code=0):
    """Both forms of the answer. No address is in them, and nothing is left behind."""
    before = shop.tree()
    text, found = shop("explain", who, code=code), shop.json("explain", who, code=code)
    for answer in (text.stdout + text.stderr, str(found)):
        assert "@" not in answer and not re.search("[+][0-9]{6,}", answer)
    assert shop.tree() == before
    return text.stdout or text.stderr, found


def deeds(found):
    return [(one["audience"], one["surely"], one["may_be"], [(event["run"], event["sign"], event["state"]) for event in one["events"]])
            for one in found["deliveries"]]


def test_a_life(shop):
    """Written, acknowledged, left one audience, complained, told."""
    shop.configure(KLAVIYO)
    ann, bob = (lambda **more: person("ann", "ann@example.com", "+16505551212", app_user_id="u1", **more)), person("bob", "bob@example.com")
    shop.publish([ann(audiences=("at_risk", "champions")), bob], [])
    assert deeds(explain(shop, "ann")[1]) == []
    shop(code=0)
    written = [(RUN, "plus", "waiting")]
    assert deeds(explain(shop, "ann")[1]) == [("at_risk", False, True, written), ("champions", False, True, written)]
    shop("ack", RUN, code=0)
    shop.publish([ann(audiences=("at_risk",), blocked={"email": "complaint"}), bob], [])
    shop(code=0, now=DAY2)
    gone = [(RUN, "plus", "acknowledged"), (RUN2, "minus", "waiting")]
    for who in ("ann", "c-ann", "u1", " ANN@example.com ", "+1 650 555 1212"):
        text, found = explain(shop, who)
        assert [one["person_id"] for one in found["people"]] == ["ann"], who
        assert deeds(found) == [("at_risk", False, True, gone), ("champions", False, True, gone), (None, False, True, [(RUN2, "plus", "waiting")])]
    shop("ack", RUN2, code=0)
    text, found = explain(shop, "ann")
    gone = [gone[0], (RUN2, "minus", "acknowledged")]
    assert deeds(found) == [("at_risk", False, False, gone), ("champions", False, False, gone), (None, True, True, [(RUN2, "plus", "acknowledged")])]
    channels = {one["channel"]: (one["can_contact"], one["blocked_reason"]) for one in found["people"][0]["channels"]}
    assert channels["email"] == (False, "complaint") and channels["sms"] == (True, None)
    for line in ("    email  no: complaint (opted_in, 2026-01-02 03:04)", "    at_risk, since 2026-11-01", "  klaviyo, who said no, Email: told",
                 f"    2026-11-22 12:00 UTC  complaint  {RUN2}, acknowledged", "  klaviyo, champions, Email: not there"):
        assert line in text.splitlines(), line
    assert deeds(explain(shop, "bob")[1]) == [("at_risk", True, True, [(RUN, "plus", "acknowledged")])], "nothing of ann's"


def test_held_out_and_refused(shop):
    shop.configure(KLAVIYO)
    shop.publish([person("out", "out@example.com", is_holdout=True), person("in", "in@example.com")], [])
    shop(code=0)
    assert "held out: never written for it" in explain(shop, "out")[0]
    (shop.folder / "refused.txt").write_text("in@example.com\n")
    shop("ack", RUN, "--destination", "klaviyo", "--refused", str(shop.folder / "refused.txt"), code=0)
    assert deeds(explain(shop, "in")[1]) == [("at_risk", False, True, [(RUN, "plus", "refused")])], "a refusal is no proof"


def test_an_erased_address_is_found_by_its_hash_alone(shop):
    shop.configure(KLAVIYO)
    shop.publish([person("gone", "gone@example.com"), person("bob", "bob@example.com")], [])
    shop(code=0)
    shop("ack", RUN, code=0)
    erased = person("gone", None, stage="erased", audiences=(), blocked=dict.fromkeys(published.CHANNELS, "erased"))
    listed = [suppression("email", "email", None, "erased", sha256("gone@example.com"))]
    shop.publish([erased, person("bob", "bob@example.com")], listed)
    shop(code=0, now=DAY2)
    found = explain(shop, "gone@example.com")[1]
    assert [one["reason"] for one in found["listed"]] == ["erased"] and found["people"] == []
    assert deeds(found)[0] == ("at_risk", False, True, [(RUN, "plus", "acknowledged"), (RUN2, "minus", "waiting")])
    shop("ack", RUN2, code=0)
    shop.publish([erased, person("bob", "bob@example.com"), person("new", "new@example.com")], listed)
    shop(code=0, now=DAY3)
    text = explain(shop, "gone@example.com")[0]
    assert "  klaviyo, at_risk: was written, and is forgotten since the erasure was told" in text.splitlines()


def test_who_shares_an_address_is_told_apart(shop):
    shop.publish([person("one", "home@example.com"), person("two", "home@example.com")], [])
    assert [one["person_id"] for one in explain(shop, "home@example.com")[1]["people"]] == ["one", "two"]


def test_a_listed_address_is_found_by_another_spelling_of_its_mailbox(shop):
    """Whoever said no as j.doe@gmail.com is listed as jdoe@gmail.com, too, and the other way round."""
    for own, other in (("jdoe@gmail.com", "j.doe+shop@gmail.com"), ("j.doe+shop@gmail.com", "jdoe@gmail.com")):
        shop.publish([person("joe", own)], [suppression("email", "email", other, "complaint")])
        assert [one["reason"] for one in explain(shop, "joe")[1]["listed"]] == ["complaint"], own


def test_nobody_is_one_line_that_does_not_repeat_the_address(shop):
    text, _ = explain(shop, "stranger@example.com".upper(), code=2)
    assert text.startswith("error: explain: nobody") and len(text.splitlines()) == 1 and "stranger" not in text.lower()


def test_the_address_may_come_from_standard_input(shop):
    with mock.patch("sys.stdin", io.StringIO("ann@example.com\n")):
        assert "person p01" in shop("explain", "-", code=0).stdout
