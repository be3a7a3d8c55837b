"""A life of destinations: 300 people, vendors of five kinds and the real program, day after day, judged after every event.

Vendors import late, twice, half, out of order or never; who runs the export acknowledges late, in part, or forgets.
`python life.py SCENARIO SEED DAYS` prints the violations, one a line, and ends with 1 if there are any. The program is
the `scripts` on the path, so that spoilt copies can be judged, too.
"""

import csv
import json
import random
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from audience_export.ledger import Ledger
from published import CHANNELS, keyed_hash, person, sha256, suppression
from shop import OPEN, SPECS, Shop

PEOPLE, CHANGES, START = 300, 45, datetime(2026, 1, 1, 6, tzinfo=UTC)
AUDIENCES = ("at_risk", "champions")
DELIVERIES = {  # the five kinds: applies changes, only adds, replaces, hashes by two identifiers, full and delta in turn
    "changes": {"destination": "csv", "channel": "email", "mode": "delta"},
    "adds": {"destination": "klaviyo", "channel": "email"},
    "replaces": {"destination": "salesforce_marketing_cloud", "channel": "email"},
    "ads": {"destination": "meta", "channel": "ads", "mode": "delta"},
    "turns": {"destination": "csv", "channel": "email"},
}
SCENARIOS = ("apart", "usual", "never_acked", "refused", "mapping", "dropped", "renamed", "state_lost", "silence")


@dataclass
class Human:
    """One person of the shop, and what they said on e-mail and ads alike: yes, no, complaint, erased, or nothing."""

    key: str
    email: str | None
    phone: str | None
    said: str = "yes"
    said_at: datetime = START - timedelta(days=40)
    lists: set = field(default_factory=set)


@dataclass
class Vendor:
    """What one vendor holds: {audience: {(header, value)}}, and which identifiers it may not contact."""

    name: str
    imports: str
    lifts: bool
    held: dict = field(default_factory=lambda: defaultdict(set))
    suppressed: set = field(default_factory=set)
    told: dict = field(default_factory=dict)  # {key: when the newest published run suppressed it}

    def targets(self, audience):
        return {key for key in self.held[audience] if key not in self.suppressed}

    def read(self, folder, spec):
        """{(audience, change): [[(header, value), ...] of a row]} of the files of a run."""
        files, manifest = defaultdict(list), json.loads((folder.parent / "manifest.json").read_text())
        record = manifest["deliveries"][folder.name]
        ids = {header for shape in record["shapes"] for header in shape["headers"]}
        listed = [(a, file["change"], file) for a, node in record["audiences"].items() for file in node["files"]]
        listed += [("", sign, file) for sign in ("suppress", "unsuppress") for file in record.get(sign, [])]
        for audience, change, file in listed:
            with open(folder.parent / file["path"], newline="", encoding="utf-8") as lines:
                for row in csv.DictReader(lines, delimiter=spec.get("separator", ",")):
                    files[audience, change].append([(h, v) for h, v in row.items() if h in ids and v])
            files[audience, change] = files.get((audience, change), [])
        return files

    def apply(self, files, taken=lambda row: True):
        """Import files in the order of docs/export.md: removed, suppress, unsuppress, added."""
        for (audience, change), rows in files.items():
            if change == "removed":
                self.held[audience] -= {key for row in rows if taken(row) for key in row}
        self.suppressed |= {key for row in files.get(("", "suppress"), []) if taken(row) for key in row}
        self.suppressed -= {key for row in files.get(("", "unsuppress"), []) if self.lifts and taken(row) for key in row}
        for (audience, change), rows in files.items():
            if change in ("added", "changed", "written"):
                keys = {key for row in rows if taken(row) for key in row}
                self.held[audience] = keys if self.imports == "replaces" else self.held[audience] | keys


class Life:
    def __init__(self, folder, scenario, seed):
        self.rng, self.scenario, self.shop = random.Random(f"{scenario}{seed}"), scenario, Shop(folder)
        self.deliveries = {name: {**given, "audiences": list(AUDIENCES)} for name, given in DELIVERIES.items()}
        self.vendors = {name: Vendor(name, SPECS[g["destination"]].get("imports", "changes"),
                                     "unsuppress" in SPECS[g["destination"]]["channels"][g["channel"]]) for name, g in DELIVERIES.items()}
        self.sends = dict(zip(DELIVERIES, DELIVERIES, strict=True))  # {vendor: today's name of its delivery}
        self.people = [self.newcomer(i) for i in range(PEOPLE)]
        self.written_for = defaultdict(set)  # {(vendor, key): whoever it was written for}
        self.day, self.runs, self.wrong, self.counts = 0, [], [], Counter()
        self.former_emails, self.erased, self.lasting = [], set(), set()

    # ---- the shop ----

    def newcomer(self, i):
        rng = self.rng
        phone = self.new_phone() if rng.random() < 0.7 else None
        said = rng.choice(["yes"] * 7 + ["no", None])
        return Human(f"p{i:04}", f"person{i}.{rng.randrange(1000)}@example.com" if rng.random() < 0.95 else None, phone, said,
                     lists={a for a in AUDIENCES if rng.random() < 0.5})

    def new_phone(self):
        """Often somebody else's, but apart nobody shares an address."""
        self.phones += 1
        return f"+1415555{self.phones if self.scenario == 'apart' else self.rng.randrange(PEOPLE * 3):04}"

    phones = 0

    def change(self, now):
        rng, one = self.rng, self.rng.choice(self.people)
        if one.said == "erased":
            return
        what = rng.choice(["joins", "leaves", "joins", "leaves", "email", "phone", "no", "yes", "yes", "silence", "complaint", "erased", "shares"])
        if what == "joins":
            one.lists.add(rng.choice(AUDIENCES))
        elif what == "leaves":
            one.lists.discard(rng.choice(AUDIENCES))
        elif what == "email":
            self.former_emails += [one.email] if one.email and one.said in ("yes", None) else []  # whoever said no takes it along
            reused = self.former_emails[-3:] if self.scenario != "apart" else []
            one.email = rng.choice([*reused, f"new{rng.randrange(10**6)}@example.com"])
        elif what == "phone":
            one.phone = self.new_phone()
        elif what == "shares" and self.scenario != "apart":
            other = rng.choice(self.people)
            one.phone = other.phone or one.phone
        elif what in ("no", "silence") and one.said in ("yes", "no", None):
            one.said, one.said_at = {"no": "no", "silence": None if one.said == "yes" else one.said}[what], now
        elif what == "yes" and one.said in ("no", None):
            one.said, one.said_at = "yes", now
        elif what == "complaint" and rng.random() < 0.3:
            one.said, one.said_at = "complaint", now
        elif what == "erased" and rng.random() < 0.3:
            self.gone.append((one.email, one.phone))
            self.erased |= {one.email, one.key}
            one.said, one.email, one.phone, one.lists = "erased", None, None, set()

    gone = ()

    def publish(self, now):
        people, listed = [], {}
        for one in self.people:
            reason = {"yes": None, "no": "no_consent", None: "no_consent"}.get(one.said, one.said)
            people.append(person(one.key, one.email, one.phone, audiences=tuple(sorted(one.lists)), stage="erased" if one.said == "erased" else "at_risk",
                                 blocked=dict.fromkeys(CHANNELS, reason) if reason else None, consented_at=one.said_at.replace(tzinfo=None)))
            if one.said in ("no", "complaint"):
                for kind, address in (("email", one.email), ("phone", one.phone)):
                    if address:
                        why = "opted_out" if one.said == "no" else one.said
                        listed[kind, address] = max(listed.get((kind, address), ("", None)), ({"complaint": "2", "opted_out": "1"}[why], why))
        self.lasting |= {address for (_, address), (_, why) in listed.items() if why == "complaint"}
        rows = [suppression(channel, kind, address, why) for (kind, address), (_, why) in listed.items() for channel in ("email", "ads")]
        rows += [suppression(channel, kind, None, "erased", sha256(address)) for pair in self.gone
                 for kind, address in zip(("email", "phone"), pair, strict=True) if address for channel in ("email", "ads")]
        rows = list({(r[0], r[1], r[3] or keyed_hash(sha256(r[2]))): r for r in rows}.values())
        self.shop.publish(people, rows, as_of=(now - timedelta(days=1)).date())
        with duckdb.connect(str(self.shop.source)) as con:
            quiet = [one.key for one in self.people if one.said is None]
            con.execute("update marts.customer_channels set consent_status = null, consented_at = null, own_no_reason = null where person_id in (select unnest(?::varchar[]))", [quiet])

    # ---- the oracle ----

    def keys(self, vendor, one):
        """The keys under which one person is written at a vendor."""
        given = self.deliveries[self.sends[vendor]]
        if given["channel"] == "ads":
            return [key for key in [("email", sha256(one.email)) if one.email else None,
                                    ("phone", sha256(one.phone[1:])) if one.phone else None] if key]
        if given.get("identify_by"):
            return [("person_id", one.key)] if one.email else []
        header = {"csv": "email", "klaviyo": "Email", "salesforce_marketing_cloud": "Email Address"}[given["destination"]]
        return [(header, one.email)] if one.email else []

    def addresses(self, vendor, one):
        return {one.email, one.phone} - {None} if self.deliveries[self.sends[vendor]]["channel"] == "ads" else {one.email} - {None}

    def judge_people(self, vendor):
        """(people who may be written, keys that are bad by whom they were ever written for)."""
        said = {one.key: one.said for one in self.people}
        noes = {one.key for one in self.people if one.said in ("no", "complaint", "erased")}
        listed = {a for one in self.people if one.key in noes for a in ({one.email, one.phone} - {None})} | {a for pair in self.gone for a in pair if a}
        bad = {key for (v, key), owners in self.written_for.items() if v == vendor and owners & noes}
        able = [one for one in self.people if said[one.key] == "yes" and self.addresses(vendor, one)
                and not {one.email, one.phone} & listed and self.keys(vendor, one)[0] not in bad]
        return able, bad

    def wanted(self, vendor, audience):
        if audience not in self.deliveries[self.sends[vendor]]["audiences"]:
            return {}
        able, bad = self.judge_people(vendor)
        first = {}
        for one in able:  # one row to an identifier that tells rows apart
            if audience in one.lists:
                first.setdefault(self.keys(vendor, one)[0], one)
        owners = defaultdict(set)
        for one in first.values():
            for key in {*self.keys(vendor, one)} - bad:
                owners[key].add(one.key)
        return owners

    # ---- a day ----

    def live(self, days):
        self.gone = []
        for self.day in range(days):
            now = START + timedelta(days=self.day)
            for _ in range(CHANGES):
                self.change(now - timedelta(hours=3))
            self.turn(now, days)
            self.publish(now)
            self.export(now)
            self.late()
            self.judge_ledger(f"day {self.day}")
            if self.wrong:  # what follows from it says no more
                break
        return self.wrong

    def turn(self, now, days):
        """What the scenario does to the deliveries today; a whole life has it twice."""
        half = self.day in (days // 3, 2 * days // 3)
        self.deliveries["turns"]["mode"] = self.rng.choice(["full", "delta"])
        if self.scenario == "mapping" and half:
            given = self.deliveries["changes"]
            given.pop("identify_by") if "identify_by" in given else given.update(identify_by="person_id")
        if self.scenario == "dropped" and half:
            for given in self.deliveries.values():
                given["audiences"] = list(AUDIENCES[:1]) if len(given["audiences"]) > 1 else list(AUDIENCES)
        if self.scenario == "renamed" and self.day == days // 3:
            for vendor in ("changes", "ads"):
                self.deliveries[f"{vendor}_new"] = self.deliveries.pop(vendor)
                self.sends[vendor] = f"{vendor}_new"
        if self.scenario == "renamed" and self.day == 2 * days // 3:
            self.deliveries["changes_newer"] = {**self.deliveries.pop("changes_new"), "renamed_from": "changes_new"}
            self.sends["changes"] = "changes_newer"
        if self.scenario == "state_lost" and self.day == days // 2:
            # whatever was acknowledged is forgotten for good; a vendor that only adds keeps it (LEDGER: a limit)
            shutil.rmtree(self.shop.folder / "state")
            self.written_for.clear()  # the runs that lie there do not say for whom they were written
            self.forgotten = {v.name: {a: set(keys) for a, keys in v.held.items()} for v in self.vendors.values()}

    forgotten = None

    def export(self, now):
        guards = {**OPEN, "removed": 0.3} if self.scenario == "silence" else OPEN
        self.shop.configure(self.deliveries, guards={**guards, "source_age_hours": "off"}, expires_after_days=5)
        quiet = []
        if self.scenario == "silence" and self.day % 4 == 3:  # a truncated file of consents: half the yeses are missing
            quiet = [one for one in self.people if one.said == "yes"][::2]
            for one in quiet:
                one.said = None
            self.publish(now)
        result = self.shop.json(now=now.isoformat())
        for one in quiet:
            one.said = "yes"
        if result["exit_code"] not in ((0, 4, 5) if self.scenario == "silence" else (0, 5)):
            raise SystemExit(f"exit code {result['exit_code']}: {result.get('message')}{result.get('guards')}")
        self.counts[result["status"]] += 1
        for vendor in self.vendors:
            for audience in AUDIENCES:
                for key, owners in self.wanted(vendor, audience).items() if result["status"] != "blocked" else ():
                    self.written_for[vendor, key] |= owners
        if result["folder"] and result["status"] in ("published", "blocked"):
            self.runs.append({"run": result["run"], "day": self.day, "blocked": result["status"] == "blocked"})
        for name, vendor in self.vendors.items():
            for folder in self.folders(name, str(result["run"])):
                rows = vendor.read(folder, self.spec(name)).get(("", "suppress"), [])
                vendor.told.update((key, now) for row in rows for key in row)
            if self.rng.random() < 0.5 and (not quiet or result["status"] == "blocked"):
                self.import_newest(name, vendor, str(result["run"]))
                self.judge_vendor(vendor, result["status"] == "blocked")

    def import_newest(self, name, vendor, run):
        """On some days the newest run is imported whole at once, and what is there is judged."""
        for folder in self.folders(name, run):
            vendor.apply(vendor.read(folder, self.spec(name)))
            self.judge_ledger(f"day {self.day}, {name} imported", [name])
            if self.scenario != "never_acked" and self.rng.random() < 0.7:
                self.ack(run, folder.name)

    def spec(self, vendor):
        return SPECS[self.deliveries[self.sends[vendor]]["destination"]]

    def folders(self, vendor, run):
        return [folder for place in self.places(vendor) if (folder := self.shop.folder / "exports" / run / place).is_dir()]

    def places(self, vendor):
        """Under which names of deliveries files for a vendor may lie, those to be imported first at the front."""
        return [vendor, f"{vendor}_new", f"{vendor}_newer"]

    def late(self):
        """Some older run is imported late, again, or in part, and perhaps acknowledged."""
        for _ in range(3):
            name = self.rng.choice(list(self.vendors))
            vendor = self.vendors[name]
            if not self.runs:
                return
            run = self.rng.choice(self.runs[-5:])
            for folder in self.folders(name, run["run"]):
                files, how, place = vendor.read(folder, self.spec(name)), self.rng.random(), folder.name
                if how < 0.3:
                    vendor.apply({key: rows for key, rows in files.items() if self.rng.random() < 0.5})
                elif how < 0.6 or self.scenario != "refused":
                    vendor.apply(files)
                    if how < 0.8 and self.scenario != "never_acked":
                        self.judge_ledger(f"day {self.day}, {name} imported {run['run']}", [name])
                        self.ack(run["run"], place)
                else:
                    values = sorted({value for rows in files.values() for row in rows for _, value in row})
                    refused = set(self.rng.sample(values, len(values) // 10))
                    vendor.apply(files, lambda row, refused=refused: not {value for _, value in row} & refused)
                    if refused:
                        (self.shop.folder / "refused.txt").write_text("\n".join(sorted(refused)) + "\n")
                        self.ack(run["run"], place, "--refused", "refused.txt")
                self.judge_ledger(f"day {self.day}, {name} imported {run['run']} {'in part' if how < 0.3 else ''}", [name])

    def ack(self, run, place, *words):
        done = self.shop("ack", run, "--destination", place, *words)
        if done.returncode:
            raise SystemExit(f"ack ended with {done.returncode}: {done.stderr}")
        self.counts["acks"] += 1
        self.judge_ledger(f"day {self.day}, {place} acknowledged", [place.split("_")[0]])

    # ---- judging ----

    known, asked, con = {}, (None, None), None

    def ledger(self, name, audience):
        """{key: when it was added and removed} of a delivery, as the program knows them."""
        events = len(list((self.shop.folder / "state/deliveries/ledger").glob("*.json")))
        if self.asked[0] != events:
            self.asked = (events, Ledger(self.shop.folder / "state"))
        ledger = self.asked[1]
        now = ([(entry.seq, entry.acked, entry.died) for entry in ledger.of(name)], [part["file"] for part in ledger.parts if part["delivery"] == name])
        if self.known.get((name, audience), ())[:1] != (now,):
            self.known = {**self.known, (name, audience): (now, self.read_ledger(ledger, name, audience))}
        return self.known[name, audience][1]

    def read_ledger(self, ledger, name, audience):
        con = self.con = self.con or duckdb.connect(config={"threads": 1})
        con.execute("create table if not exists no_keys (k blob, rank utinyint); create table if not exists no_people (person_id varchar, rank utinyint)")
        if not ledger.source(name, audience, "plus"):
            return []
        for sign, view in (("plus", "all_plus"), ("minus", "minus_ops"), ("refused", "refused_ops")):
            ledger.table(con, name, audience, sign, view=view)
        ledger.held(con, name, audience, "all_plus")
        rows = con.execute("select header, value, plus_acked, minus_died, plus_died, minus_acked from held").fetchall()
        return [((h, value.hex() if name.startswith("ads") else value.decode()), times) for h, value, *times in rows]

    def judge_ledger(self, when, names=tuple(DELIVERIES)):
        """held ⊆ may be there; surely there ⊆ held, of suppressions too."""
        for name in names:
            vendor = self.vendors[name]
            for audience in (*AUDIENCES, "") if DELIVERIES[name]["channel"] != "ads" else AUDIENCES:
                held, times = vendor.held[audience] if audience else vendor.suppressed, defaultdict(lambda: [-2, -1, -2, -1])
                for place in self.places(name) if self.scenario == "renamed" else [name]:  # they are one, to the vendor
                    for key, found in self.ledger(place, audience):
                        times[key] = [max(old, old if new is None else new) for old, new in zip(times[key], found, strict=True)]
                may = {key for key, (_, _, plus_died, minus_acked) in times.items() if plus_died > minus_acked}
                sure = {key for key, (plus_acked, minus_died, _, _) in times.items() if plus_acked > minus_died}
                lost = self.forgotten[name].get(audience, set()) if self.forgotten else set()
                if not audience:  # R15: what an erased person was told by is forgotten, former addresses too
                    lost = held if self.forgotten else {key for key in held if self.erased & {key[1], *self.written_for[name, key]}}
                self.note(when, name, audience, "held, but the ledger does not know", held - may - lost)
                if vendor.imports != "replaces" or not audience:
                    self.note(when, name, audience, "surely there by the ledger, but not held", sure - held)

    def judge_vendor(self, vendor, blocked):
        """Right after the newest run was imported whole."""
        when, name = f"day {self.day}, newest imported", vendor.name
        able, bad = self.judge_people(name)
        may = {key for one in able for key in self.keys(name, one)} - bad
        noes = {key for one in self.people if one.said in ("no", "complaint") for key in self.keys(name, one)} | bad
        for audience in AUDIENCES:
            wanted, targets = set(self.wanted(name, audience)), vendor.targets(audience)
            lost = self.forgotten[name].get(audience, set()) if self.forgotten else set()
            told = noes if vendor.imports != "replaces" or not blocked else set()
            self.note(when, name, audience, "targetable, but said no", targets & told - lost)
            if blocked:
                continue
            self.note(when, name, audience, "targetable, but may not be contacted", targets - may - lost - (vendor.held[audience] - wanted if vendor.imports == "adds" else set()))
            missing, yes_at = wanted - targets, defaultdict(lambda: START - timedelta(days=999))
            for one in able:
                yes_at.update((key, max(yes_at[key], one.said_at)) for key in self.keys(name, one))
            # R10: where a vendor has a way, for a yes after the no was published, imported or not; after state loss nobody knows whose word it was. What an address
            # was told for a complaint stays, whoever has it now: somebody else may have shared it, and have moved on
            stays = {key for key in missing & vendor.suppressed
                     if not vendor.lifts or self.forgotten or key[1] in self.lasting or yes_at[key] <= vendor.told[key]}
            self.counts["not lifted"] += len(stays)
            missing -= stays
            self.note(when, name, audience, "wanted, but not targetable", missing)
            self.note(when, name, audience, "held, but not wanted", vendor.held[audience] - wanted - lost)

    def note(self, when, name, audience, what, keys):
        self.counts["judged"] += 1
        if keys:
            self.wrong.append(f"{when}, {name}/{audience or 'suppressions'}: {what}: {len(keys)} {sorted(keys)[:2]}")


def main(scenario, seed, days):
    with tempfile.TemporaryDirectory() as folder:
        life = Life(Path(folder), scenario, seed)
        wrong = life.live(int(days))
    print("\n".join(wrong[:20]))
    print(dict(life.counts), file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
