"""One message a person: of several audiences of a delivery, the one that the playbook puts first."""

import random

from published import person
from shop import RUN

PRIORITIES = {"champions": 3, "at_risk": 7, "lapsed": 1, "quiet": None, "hot": None}
ORDER = ["lapsed", "champions", "at_risk", "hot", "quiet"]
CATALOGUE = [(name, "email", priority) for name, priority in PRIORITIES.items()]


def crowd():
    draw = random.Random(7)
    return [person(f"p{n:03}", f"p{n}@example.com", audiences=tuple(draw.sample(ORDER, draw.randint(1, 4))),
                   is_holdout=draw.random() < 0.2, consent=("email",) if draw.random() < 0.8 else ()) for n in range(200)]


def test_everybody_is_in_the_audience_that_the_playbook_puts_first(shop):
    people = crowd()
    shop.publish(people, [], catalogue=CATALOGUE)
    shop.configure({"csv": {"channel": "email", "audiences": "all", "fields": ["person_id"], "one_per_person": True}})
    record = shop.json(code=0)["manifest"]["deliveries"]["csv"]
    written = {}
    for name in ORDER:
        ids = [line.split(",")[1] for line in shop.file(f"csv/{name}.csv").read_text().splitlines()[1:]]
        written.update(dict.fromkeys(ids, name))
        node, members = record["audiences"][name], [p for p in people if name in p["audiences"]]
        elsewhere = sum(bool(p["row"]["can_email"]) and min(p["audiences"], key=ORDER.index) != name for p in members)
        assert node["reasons"].get("other_audience", 0) == elsewhere
        assert node["waterfall"]["consented"] - node["waterfall"]["first_choice"] == elsewhere
        assert node["waterfall"]["written"] == len(ids)
    assert written == {p["row"]["person_id"]: min(p["audiences"], key=ORDER.index) for p in people
                       if p["row"]["can_email"] and not p["is_holdout"]}
    assert sum(node["waterfall"]["written"] for node in record["audiences"].values()) == len(written), "nobody twice"


def test_only_audiences_of_the_delivery_compete_and_who_is_held_out_of_the_first_stays_untouched(shop):
    both = person("both", "both@example.com", audiences=("lapsed", "at_risk"))
    out = person("out", "out@example.com", audiences=("at_risk", "champions"), is_holdout=True)
    shop.publish([both, out], [], catalogue=CATALOGUE)
    shop.configure({"csv": {"channel": "email", "audiences": ["at_risk", "champions"], "fields": ["person_id"], "one_per_person": True}})
    reasons = {name: node["reasons"] for name, node in shop.json(code=0)["manifest"]["deliveries"]["csv"]["audiences"].items()}
    assert reasons == {"at_risk": {"other_audience": 1}, "champions": {"held_out": 1}}
    assert "both@example.com" in shop.file("csv/at_risk.csv").read_text()


def test_who_moves_to_an_audience_that_goes_first_leaves_the_other(shop):
    delivery = {"channel": "email", "audiences": ["at_risk", "champions"], "fields": ["person_id"], "mode": "delta", "one_per_person": True}
    shop.configure({"csv": delivery})
    shop.publish([person("mover", "mover@example.com", audiences=("at_risk",))], [], catalogue=CATALOGUE)
    shop(code=0)
    shop("ack", RUN, code=0)
    shop.publish([person("mover", "mover@example.com", audiences=("at_risk", "champions"))], [], catalogue=CATALOGUE)
    nodes = shop.json(code=0, now="2026-11-23T06:00:00")["manifest"]["deliveries"]["csv"]["audiences"]
    assert (nodes["at_risk"]["changes"], nodes["champions"]["changes"]) == (
        {"added": 0, "changed": 0, "removed": 1}, {"added": 1, "changed": 0, "removed": 0})


def test_marts_that_know_no_priority_cannot_choose(shop):
    shop.configure({"csv": {"channel": "email", "audiences": "all", "one_per_person": True}})
    done = shop(code=3)
    assert "audience_summary has no column priority" in done.stderr
    assert not (shop.folder / "exports" / RUN).exists()
