"""What the marts should say of a shop's raw files: the words of DESIGN and DECISIONS in plain Python, without SQL.

Rows are read as text; times become wall clock of the business zone, money decimals. People are named as the marts name
them, by the MD5 of their earliest record, so that every row can be compared with its own.
"""

import csv
import hashlib
import math
import re
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import oracle
from oracle import ten_thousandths

CHANNELS = {"email": "email", "sms": "phone", "push": "user_id", "ads": "email"}
SEVERITY = ("erased", "complaint", "hard_bounce", "unsubscribed")
OPTED_OUT = len(SEVERITY)  # weaker than every suppression
PROFILE = ("phone", "first_name", "last_name", "country", "region", "city", "language", "time_zone", "acquisition_channel")
ALWAYS, NEVER_ENDS = datetime.min, datetime.max  # a time that is not known


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def email_of(text):
    return text.strip().lower() or None if text else None


def phone_of(text):
    return re.sub("^00", "+", re.sub("[^0-9+]", "", text.replace("(0)", ""))) or None if text else None


def seed(project, name):
    with (project / "seeds" / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def latest(values):
    """The value of the greatest of (order, value) pairs whose value is known."""
    known = [(order, value) for order, value in values if value is not None]
    return max(known)[1] if known else None


class Shop:
    def __init__(self, tables, project, as_of, zone, *, at_risk, lapsed):
        self.project, self.as_of, self.zone = project, as_of, ZoneInfo(zone)
        self.end = datetime.combine(as_of + timedelta(1), time())
        self.at_risk, self.lapsed = at_risk, lapsed
        self.raw = {name: [{key: value.strip() or None for key, value in row.items()} for row in rows] for name, rows in tables.items()}
        self.rates = defaultdict(list)
        for row in seed(project, "exchange_rates"):
            if row["reporting_currency"] == "EUR":
                self.rates[row["currency"]].append((date.fromisoformat(row["month"]), Decimal(row["rate"])))
        self.accounts = {row["customer_id"]: row for row in self.versions("shop/customers", "customer_id")}
        self.orders_raw = self.versions("shop/orders", "order_id")
        for order in self.orders_raw:
            order["at"] = self.wall(order["ordered_at"])
            order["test"] = order["is_test"] == "true"
        self.record()
        self.identify()
        self.count_orders()
        self.see_activity()
        self.profile()
        self.hear()

    # --- values ------------------------------------------------------------------------------------------------

    def wall(self, text):
        if text is None:
            return None
        moment = datetime.fromisoformat(text)
        return moment.astimezone(self.zone).replace(tzinfo=None) if moment.tzinfo else moment

    def utc(self, text):
        if text is None:
            return None
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=self.zone)).astimezone(UTC).replace(tzinfo=None)

    def rate(self, currency, day):
        currency = (currency or "EUR").upper()
        return Decimal(1) if currency == "EUR" else max(pair for pair in self.rates[currency] if pair[0] <= day)[1]

    def versions(self, table, key):
        """The latest version of every row."""
        chosen = {}
        for row in sorted(self.raw[table], key=lambda row: self.wall(row["updated_at"]) or ALWAYS):
            chosen[row[key]] = row
        return list(chosen.values())

    # --- who is who --------------------------------------------------------------------------------------------

    def record(self):
        """records: key -> {email, at, stable}, whether listed or only seen; links: key -> keys that it names"""
        records, links = {}, defaultdict(set)
        for id_, row in self.accounts.items():
            records["shop", id_] = {"email": email_of(row["email"]), "at": self.wall(row["created_at"]), "stable": f"shop:customer:{id_}"}
        for row in self.raw["app/users"]:
            key = "app", row["user_id"]
            records[key] = {"email": email_of(row["email"]), "at": self.wall(row["created_at"]), "stable": f"app:user:{row['user_id']}", "row": row}
            links[key].add(("shop", row["customer_id"]) if row["customer_id"] else key)
        for row in self.raw["esp/contacts"]:
            key = "esp", row["contact_id"]
            records[key] = {"email": email_of(row["email"]), "at": self.wall(row["created_at"]), "stable": f"esp:contact:{row['contact_id']}"}
            links[key].add(("shop", row["customer_id"]) if row["customer_id"] else key)
        seen = defaultdict(list)  # ids and guests that only orders and events know
        for order in self.orders_raw:
            email = email_of(order["email"])
            if order["test"] or not (order["customer_id"] or email):
                continue
            seen[("shop", order["customer_id"]) if order["customer_id"] else ("guest", email)].append((order["at"], order["order_id"]))
        for event in self.raw["app/events"]:
            seen["app", event["user_id"]].append((self.wall(event["occurred_at"]), ""))
        for key, times in seen.items():
            if key not in records:
                stable = {"guest": f"shop:guest_order:{min(times)[1]}", "shop": f"shop:customer:{key[1]}", "app": f"app:user:{key[1]}"}[key[0]]
                records[key] = {"email": key[1] if key[0] == "guest" else None, "at": min(times)[0], "stable": stable}
        self.records, self.links = records, links

    def identify(self):
        """Records that share a key or an address are one person: members of it, and person_of each."""
        tokens = defaultdict(set)
        for key, record in self.records.items():
            for token in {key, *self.links[key], ("address", record["email"]) if record["email"] else key}:
                tokens[token].add(key)
        leader = {key: key for key in self.records}

        def find(key):
            while leader[key] != key:
                key = leader[key]
            return key

        for group in tokens.values():
            first, *others = group
            for other in others:
                leader[find(other)] = find(first)
        clusters = defaultdict(list)
        for key in self.records:
            clusters[find(key)].append(key)
        self.members, self.person_of = {}, {}
        for keys in clusters.values():
            person = md5(min((self.records[key]["at"], self.records[key]["stable"]) for key in keys)[1])
            self.members[person] = keys
            for key in keys:
                self.person_of[key] = person

    def person_of_order(self, order):
        key = ("shop", order["customer_id"]) if order["customer_id"] else ("guest", email_of(order["email"]))
        return self.person_of.get(key)

    # --- orders and money --------------------------------------------------------------------------------------

    def count_orders(self):
        called_off = {row["status"] for row in seed(self.project, "order_statuses") if row["is_cancelled"] == "true"}
        refunds = defaultdict(list)
        for row in self.raw["shop/refunds"]:
            refunds[row["order_id"]].append((self.wall(row["refunded_at"]).date(), Decimal(row["amount"])))
        self.orders = []
        for row in self.orders_raw:
            if row["test"] or (row["status"] or "").lower() in called_off or row["at"].date() > self.as_of:
                continue
            self.orders.append({
                "order_id": row["order_id"], "person_id": self.person_of_order(row), "ordered_at": row["at"], "order_date": row["at"].date(),
                "currency_gross": Decimal(row["gross_amount"]),
                "sold": Decimal(row["gross_amount"]) - Decimal(row["discount_amount"] or 0),
                "rate": self.rate(row["currency"], row["at"].date()), "refunds": refunds[row["order_id"]],
            })  # fmt: skip
        self.orders.sort(key=lambda order: (order["ordered_at"], order["order_id"]))
        numbers, days = Counter(), {}
        for order in self.orders:
            person = order["person_id"]
            order.update(self.money(order, self.as_of))
            numbers[person] += 1
            order["order_number"] = numbers[person] if person else None
            order["days_since_previous_order"] = (order["order_date"] - days[person]).days if person and person in days else None
            days[person] = order["order_date"]
        self.baskets = defaultdict(list)
        for order in self.orders:
            if order["person_id"]:
                self.baskets[order["person_id"]].append(order)

    @staticmethod
    def money(order, day):
        """Amounts in the reporting currency as of a day: what is left is converted, the rest are differences."""
        refunded = sum(amount for on, amount in order["refunds"] if on <= day)
        gross, sold, net = (
            ten_thousandths(amount * order["rate"]) for amount in (order["currency_gross"], order["sold"], order["sold"] - refunded)
        )
        return {"gross_amount": gross, "discount_amount": gross - sold, "refunded_amount": sold - net, "net_amount": net}

    def net_as_of(self, person, day):
        return sum((self.money(order, day)["net_amount"] for order in self.baskets[person] if order["order_date"] <= day), Decimal(0))

    # --- what people did ---------------------------------------------------------------------------------------

    def see_activity(self):
        self.events = defaultdict(list)
        for row in self.raw["app/events"]:
            at = self.wall(row["occurred_at"])
            if at < self.end:
                self.events[self.person_of["app", row["user_id"]]].append((at, row["event_name"], row["city"]))
        self.first_seen = {}
        for person, keys in self.members.items():
            known = [self.records[key]["at"] for key in keys] + [at for at, *_ in self.events[person]]
            known += [order["ordered_at"] for order in self.baskets[person]]
            if min(known) < self.end:
                self.first_seen[person] = min(known)

    def activity(self, person):
        return {at.date() for at, *_ in self.events[person]} | {order["order_date"] for order in self.baskets[person]}

    def stage(self, person):
        if self.erased.get(person, NEVER_ENDS) < self.end:
            return "erased"
        days = [order["order_date"] for order in self.baskets[person]]
        if days:
            return oracle.stage(days, self.as_of, self.at_risk, self.lapsed)
        recent = [name for at, name, _ in self.events[person] if at.date() > self.as_of - timedelta(14)]
        if "product_added_to_cart" in recent or recent.count("product_viewed") >= 3:
            return "evaluating"
        is_active = any(day > self.as_of - timedelta(30) for day in self.activity(person))
        return "engaged" if is_active else "lead"

    def stage_at(self, person, moment):
        """The same at any moment, by what had happened until then."""
        day = moment.date()
        days = [order["order_date"] for order in self.baskets[person] if order["ordered_at"] <= moment]
        if days:
            return oracle.stage(days, day, self.at_risk, self.lapsed)
        happened = [(at.date(), name) for at, name, _ in self.events[person] if at <= moment]
        recent = [name for on, name in happened if on > day - timedelta(14)]
        if "product_added_to_cart" in recent or recent.count("product_viewed") >= 3:
            return "evaluating"
        return "engaged" if any(on > day - timedelta(30) for on, _ in happened) else "lead"

    def stage_history(self):
        """(person, since) -> (stage, until, cycle), by asking at every midnight and at everything that happened"""
        rows = {}
        for person, since in self.first_seen.items():
            erased = max(self.erased[person], since) if self.erased.get(person, NEVER_ENDS) < self.end else self.end
            happened = {since, *(order["ordered_at"] for order in self.baskets[person]), *(at for at, *_ in self.events[person])}
            happened |= {datetime.combine(since.date() + timedelta(n), time()) for n in range(1, (self.end - since).days + 2)}
            spells = []
            for moment in sorted(moment for moment in happened if since <= moment < erased):
                stage = self.stage_at(person, moment)
                if not spells or spells[-1][1] != stage:
                    spells.append((moment, stage, self.cycle(person, moment)))
            if erased < self.end:
                spells.append((erased, "erased", None))
            ends = [spell[0] for spell in spells[1:]] + [None]
            rows |= {(person, start): (stage, end, cycle) for (start, stage, cycle), end in zip(spells, ends, strict=True)}
        return rows

    def cycle(self, person, moment):
        days = sorted({order["order_date"] for order in self.baskets[person] if order["ordered_at"] <= moment})
        return 1 + sum((after - day).days > self.lapsed for day, after in pairwise(days))

    def transitions(self):
        """(month, stage a month end before or first_seen, stage at its end) -> (people,)"""
        counts, spells = Counter(), defaultdict(list)
        for (person, since), (stage, *_) in self.stage_history().items():
            spells[person].append((since, stage))
        for own in spells.values():
            before = "first_seen"
            for month, last in oracle.month_ends(min(own)[0].date(), self.as_of).items():
                now = max(spell for spell in own if spell[0].date() <= last)[1]
                counts[month, before, now] += 1
                before = now
        return {key: (people,) for key, people in counts.items()}

    def daily_metrics(self):
        """day -> (users, customers, repeat, loyal, active, passive, and the three rates)"""
        seen = [moment.date() for moment in self.first_seen.values()]
        bought = [[order["order_date"] for order in basket] for basket in self.baskets.values()]
        active = [self.activity(person) for person in self.first_seen]
        rows = {}
        for n in range((self.as_of - min(seen)).days + 1):
            day = min(seen) + timedelta(n)
            users = sum(first <= day for first in seen)
            least = [sum(sum(on <= day for on in days) >= orders for days in bought) for orders in (1, 2, 3)]
            awake = sum(any(day - timedelta(30) < on <= day for on in days) for days in active)
            rates = [part / whole if whole else None for part, whole in zip(least, [users, *least[:2]], strict=True)]
            rows[day] = [users, *least, awake, users - awake, *rates]
        return rows

    def sales(self, amount):
        """The counted orders of known people as oracle.py reads them."""
        return [(order["person_id"], order["order_date"], order[amount]) for order in self.orders if order["person_id"]]

    # --- who they are ------------------------------------------------------------------------------------------

    def profile(self):
        self.profiles = {}
        for person, keys in self.members.items():
            ranked = []
            for kind, id_ in keys:
                record, row = self.records[kind, id_], self.accounts.get(id_, {}) if kind == "shop" else {}
                is_closed = row.get("deleted_at") is not None and self.wall(row["deleted_at"]) < self.end
                standing = 0 if is_closed else {"shop": 4, "app": 3, "esp": 2, "guest": 1}[kind]
                changed = self.wall(row.get("updated_at")) or record["at"]
                full_key = {"shop": "shop:customer:", "app": "app:user:", "esp": "esp:contact:", "guest": "shop:guest:"}[kind] + id_
                user = record.get("row", {})
                place = {name: user.get(f"default_{name}") for name in ("country", "region", "city")}
                values = {name: row.get(name) or place.get(name) for name in PROFILE} | {"email": record["email"]}
                values["country"] = values["country"] and values["country"].upper()
                values["language"] = values["language"] and values["language"].lower()
                values["app_user_id"] = id_ if kind == "app" else None
                ranked.append(((standing, changed, full_key), values, is_closed, bool(row)))
            profile = {name: latest((order, values[name]) for order, values, *_ in ranked) for name in (*PROFILE, "email", "app_user_id")}
            ids = sorted((self.records[key]["at"], self.records[key]["stable"], key) for key in keys if key[0] != "guest")
            own = [key[1] for *_, key in ids if key[0] == "shop"] or [key[1] for *_, key in ids]
            profile["primary_customer_id"] = own[0] if own else None
            closed = [is_closed for *_, is_closed, is_account in ranked if is_account]
            profile["closed"] = bool(closed) and all(closed)
            profile["phone_e164"] = phone_of(profile["phone"])
            self.profiles[person] = profile
        self.addresses = {
            person: {("email", self.records[key]["email"]) for key in keys if self.records[key]["email"]}
            | {("user_id", id_) for kind, id_ in keys if kind == "app"}
            | {("phone", phone_of(self.accounts[id_]["phone"])) for kind, id_ in keys
               if kind == "shop" and id_ in self.accounts and phone_of(self.accounts[id_]["phone"])}
            for person, keys in self.members.items()
        }  # fmt: skip
        self.owners = defaultdict(set)
        for person, addresses in self.addresses.items():
            for address in addresses:
                self.owners[address].add(person)

    # --- what was said -----------------------------------------------------------------------------------------

    @staticmethod
    def about(row):
        """The addresses that a row names."""
        named = (("email", email_of(row.get("email"))), ("phone", phone_of(row.get("phone"))), ("user_id", row.get("user_id")))
        return [address for address in named if address[1]]

    def hear(self):
        """states: (address, channel) -> (is a yes, since when); what is suppressed, and who is erased since when"""
        statements = defaultdict(list)
        for row in self.raw["esp/consents"]:
            is_yes, channel = (row["status"] or "").lower() == "opted_in", (row["channel"] or "").lower()
            at = self.wall(row["changed_at"])
            if (is_yes and at and at >= self.end) or (is_yes and channel not in CHANNELS):
                continue
            for address in self.about(row):
                for meant in [channel] if channel in CHANNELS else CHANNELS:
                    statements[address, meant].append((self.utc(row["changed_at"]), not is_yes, at))
        for row in self.raw["esp/messages"]:
            if row["unsubscribed_at"]:
                said = self.utc(row["unsubscribed_at"]), True, self.wall(row["unsubscribed_at"])
                statements[("email", email_of(row["email"])), "email"].append(said)
        self.states = {}
        for key, said in statements.items():
            last = max(said, key=lambda one: (one[0] or (NEVER_ENDS if one[1] else ALWAYS), one[1]))
            self.states[key] = (not last[1], last[2])
        self.reports = self.suppressions()
        self.suppressed = {key: min(said) for key, said in self.reports.items()}
        self.erased = {}
        for (address, _), (severity, at) in self.suppressed.items():
            if severity == 0 and len(self.owners[address]) == 1:  # an address of several people erases nobody
                for person in self.owners[address]:
                    self.erased[person] = min(at, self.erased.get(person, NEVER_ENDS))

    def noes(self, person, channel):
        """Why, and since when, a person is not to be contacted: what was said under an address of their own; a bounce is no such thing."""
        found = [(0, self.erased[person])] if person in self.erased else []
        for address in self.addresses[person]:
            if len(self.owners[address]) == 1:
                found += [no for no in self.noes_to(address, channel).items() if no[0] != SEVERITY.index("hard_bounce")]
        return self.earliest(found)

    def noes_to(self, address, channel):
        """Why, and since when, an address is not to be used: severities, and OPTED_OUT."""
        is_yes, at = self.states.get((address, channel), (True, None))
        return self.earliest([*self.reports.get((address, channel), ()), *([] if is_yes else [(OPTED_OUT, at or ALWAYS)])])

    @staticmethod
    def earliest(noes):
        """reason -> since when"""
        return {reason: min(at for why, at in noes if why == reason) for reason, _ in noes}

    def suppressions(self):
        """(address, channel) -> (severity, since when) of every report"""
        reports = defaultdict(list)
        for row in self.raw["esp/suppressions"]:
            reason = row["reason"] if row["reason"] in SEVERITY else "unsubscribed"
            for address in self.about(row):
                is_known = row["channel"] in CHANNELS and reason != "erased"
                for meant in [row["channel"]] if is_known else CHANNELS:
                    reports[address, meant].append((SEVERITY.index(reason), self.wall(row["suppressed_at"]) or ALWAYS))
        for row in self.raw["esp/messages"]:
            if row["complained_at"]:
                report = SEVERITY.index("complaint"), self.wall(row["complained_at"])
                reports[("email", email_of(row["email"])), "email"].append(report)
        return reports

    def listed(self, hashed):
        """(channel, kind, address, of the erased its hash) -> (reason, since when or None)"""
        found = {}
        for (address, channel), (is_yes, at) in self.states.items():
            if not is_yes:
                found[address, channel] = (address[1], "opted_out", at)
        for (address, channel), (severity, at) in self.suppressed.items():
            found[address, channel] = (None if severity == 0 else address[1], SEVERITY[severity], at)
        for person, at in self.erased.items():
            for address in self.addresses[person]:
                for channel in CHANNELS:
                    reason, since = found.get((address, channel), (None, None, None))[1:]
                    found[address, channel] = (None, "erased", min(at, since) if reason == "erased" else at)
        shared = [address for address, owners in self.owners.items() if len(owners) > 1]
        for address, channel in ((address, channel) for address in shared for channel in CHANNELS):
            said = set().union(*(self.noes(person, channel) for person in self.owners[address]))
            if said and (address, channel) not in found:
                found[address, channel] = (address[1], (*SEVERITY, "opted_out")[min(said)], ALWAYS)
        return {
            (channel, kind, address if clear else hashed(address)): (reason, None if at == ALWAYS else at)
            for ((kind, address), channel), (clear, reason, at) in found.items()
        }

    def reach(self, person, channel):
        """(may be contacted, consent_status, consented_at, why not, their own no, which statement decides, when it was said)"""
        profile, kind = self.profiles[person], CHANNELS[channel]
        target = {"email": profile["email"], "phone": phone_of(profile["phone"]), "user_id": profile["app_user_id"]}[kind]
        states = {address: self.states.get((address, channel)) for address in self.addresses[person]}
        yeses = {address: state[1] for address, state in states.items() if state and state[0]}
        times = [at for (of, _), at in yeses.items() if of == "user_id" and at]
        at = yeses.get((kind, target)) or (max(times) if times else None)
        status = None
        own = self.noes(person, channel)
        blocks = [*own.items(), *self.noes_to((kind, target), channel).items()]
        for other in self.owners[kind, target]:
            blocks += self.noes(other, channel).items()
        blocks = self.earliest(blocks)
        if OPTED_OUT in blocks or profile["closed"]:
            status = "opted_out"
        elif any(address == (kind, target) or address[0] == "user_id" for address in yeses):
            status = "opted_in"
        reason = SEVERITY[min(blocks)] if blocks.keys() - {OPTED_OUT} else None
        decided_by = reason or ("opted_out" if blocks else "account_closed" if profile["closed"] else status)
        decided_at = at if decided_by == "opted_in" else blocks[min(blocks)] if blocks else None
        if reason is None and status != "opted_in":
            reason = "no_consent"
        if reason is None and target is None:
            reason = "no_address"
        own_no = (*SEVERITY, "opted_out")[min(own)] if own else None
        decided_at = None if decided_at == ALWAYS else decided_at
        return reason is None, status, at if status == "opted_in" else None, reason, own_no, decided_by, decided_at

    # --- more of a person --------------------------------------------------------------------------------------

    def rfm(self, day):
        """customer -> (recency, frequency, monetary, R, F, M) as a build of that day would say"""
        facts = {}
        for person, basket in self.baskets.items():
            days = [order["order_date"] for order in basket if order["order_date"] <= day]
            if days:
                facts[person] = ((day - max(days)).days, len(days), self.net_as_of(person, day))
        scores = oracle.rfm_scores(facts) if facts else {}
        return {person: (*facts[person], *scores[person]) for person in facts}

    def customer_years(self):
        """Years that a customer stays, as a fraction."""
        year = timedelta(365)
        before, now = set(), set()
        for person, basket in self.baskets.items():
            for order in basket:
                if order["order_date"] > self.as_of - year:
                    now.add(person)
                elif order["order_date"] > self.as_of - 2 * year:
                    before.add(person)
        if len(before) < 100:
            return Fraction(3)
        lost = len(before - now)
        return min(Fraction(len(before), lost), Fraction(10)) if lost else Fraction(10)

    def values(self, person):
        """(orders of a year, simple CLV)"""
        basket = self.baskets[person]
        a_year = sum(order["order_date"] > self.as_of - timedelta(365) for order in basket)
        if not basket or person in self.erased:
            return 0, Decimal(0)
        average = ten_thousandths(Fraction(sum(order["net_amount"] for order in basket)) / len(basket))
        return a_year, ten_thousandths(Fraction(average) * a_year * self.customer_years())

    def first_category(self, person):
        categories = {row["product_id"]: row["category"] for row in self.raw["shop/products"]}
        first = self.baskets[person][0]["order_id"]
        lines = [row for row in self.raw["shop/order_items"] if row["order_id"] == first]
        if not lines:
            return None

        def worth(line):
            known = line["quantity"] and line["unit_price"]
            return (Decimal(line["quantity"]) * Decimal(line["unit_price"]) if known else Decimal("-Infinity"), -int(line["line_number"]))

        return categories.get(max(lines, key=worth)["product_id"])

    def messages_of_late(self, person, days):
        return [
            row for row in self.raw["esp/messages"]
            if not row["bounced_at"] and ("email", email_of(row["email"])) in self.addresses[person]
            and self.as_of - timedelta(days) < self.wall(row["sent_at"]).date() <= self.as_of
        ]  # fmt: skip

    def cohort_values(self, kind):
        """(cohort, age) -> (customers, eligible, gross, net, gross each, net each)"""

        def cohort_of(person, first):
            parts = {"month": first.strftime("%Y-%m")}
            if "first_category" in kind:
                parts["first_category"] = self.first_category(person) or "unknown"
            if "acquisition_channel" in kind:
                channel = None if person in self.erased else self.profiles[person]["acquisition_channel"]
                parts["acquisition_channel"] = channel or "unknown"
            return " / ".join(parts[part] for part in kind.split(" and "))

        people = [person for person in self.first_seen if self.baskets[person]]
        cells = {}
        for measure in ("gross_amount", "net_amount"):
            orders = [(person, order["order_date"], order[measure]) for person in people for order in self.baskets[person]]
            cells[measure] = oracle.cohort_values(orders, self.as_of, cohort_of)
        return {
            key: (customers, eligible, Decimal(gross), Decimal(net),
                  *(ten_thousandths(Fraction(sum_) / eligible) if eligible else None for sum_ in (gross, net)))
            for key, (customers, eligible, gross) in cells["gross_amount"].items()
            for net in [cells["net_amount"][key][2]]
        }  # fmt: skip

    # --- places and campaigns ----------------------------------------------------------------------------------

    def locations(self):
        """(person, city) -> (kind, is added, is searched, first seen, last seen, added at)"""
        seen = []
        for person, keys in self.members.items():
            if person in self.erased:
                continue
            logins = [
                (self.wall(self.records[key]["row"]["created_at"]), key[1], self.records[key]["row"]["default_city"])
                for key in keys if key[0] == "app" and "row" in self.records[key]
            ]  # fmt: skip
            logins = sorted(login for login in logins if login[2] is not None and login[0] < self.end)
            seen += [(person, "default" if login == logins[-1] else "added", login[2], login[0]) for login in logins]
            seen += [(person, name.removeprefix("location_"), city, at) for at, name, city in self.events[person]
                     if name.startswith("location_") and city is not None]  # fmt: skip
        seen = [(person, kind, " ".join(city.split()), at) for person, kind, city, at in seen if city.split()]
        spellings, found = {}, defaultdict(list)
        for _, _, city, at in seen:
            spellings[city.lower()] = min((at, city), spellings.get(city.lower(), (NEVER_ENDS, "")))
        for person, kind, city, at in seen:
            found[person, spellings[city.lower()][1]].append((kind, at))
        rows = {}
        for key, sightings in found.items():
            kinds = {kind for kind, _ in sightings}
            times = [at for _, at in sightings]
            added = [at for kind, at in sightings if kind == "added"]
            strongest = next(kind for kind in ("default", "added", "searched") if kind in kinds)
            rows[key] = (strongest, "added" in kinds, "searched" in kinds, min(times), max(times), min(added) if added else None)
        return rows

    def touchpoints(self):
        """(channel, activity) -> (is live, day of the last message, people reached or None) for what was sent or is live"""
        campaigns, sent, reached = defaultdict(list), defaultdict(list), defaultdict(set)
        for row in self.raw["esp/campaigns"]:
            start, end = self.wall(row["started_at"]), self.wall(row["ended_at"])
            if (start is None or start < self.end) and row["activity"]:
                campaigns[row["channel"].lower(), row["activity"].lower()].append(
                    (row["campaign_id"], start is not None and (end is None or end >= self.end))
                )
        own = {campaign: key for key, group in campaigns.items() for campaign, _ in group}
        for row in self.raw["esp/messages"]:
            at = self.wall(row["sent_at"])
            if row["campaign_id"] in own and at < self.end:
                sent[own[row["campaign_id"]]].append(at.date())
                if not row["bounced_at"] and at.date() > self.as_of - timedelta(90):
                    people = self.owners["email", email_of(row["email"])] & self.first_seen.keys()
                    reached[own[row["campaign_id"]]] |= people
        return {
            key: (any(is_live for _, is_live in group), max(sent[key], default=None), len(reached[key]))
            for key, group in campaigns.items()
        }  # fmt: skip

    def campaign_results(self, events, campaign_of, window=30):
        """audience -> its row of campaign_results; events are the state's, campaign_of {audience: campaign id or None}"""
        now = {md5(record["stable"]): self.person_of[key] for key, record in self.records.items()}
        draws = defaultdict(dict)
        for event in sorted((e for e in events if e["event"] == "entered" and e["as_of_date"] <= self.as_of),
                            key=lambda e: (e["as_of_date"], e["person_id"])):  # fmt: skip
            draws[event["audience"]].setdefault(now.get(event["person_id"], event["person_id"]), event)
        rows = {}
        for audience in draws.keys() | campaign_of.keys():
            drawn = draws[audience]
            over = {p: e for p, e in drawn.items() if e["as_of_date"] + timedelta(window) <= self.as_of}
            row = {"assigned_people": len(drawn), "waiting_people": len(drawn) - len(over)}
            last = max((e["as_of_date"] for e in over.values()), default=None)
            share = max((e["holdout_share"] for e in over.values() if e["as_of_date"] == last), default=None)
            compared = {p: e for p, e in over.items() if e["holdout_share"] == share}
            days = [e["as_of_date"] for e in compared.values()]
            row |= {"holdout_share": share, "first_assigned_on": min(days, default=None), "last_assigned_on": max(days, default=None)}
            arms = {"treated": [], "control": []}
            for person, event in compared.items():
                bought = [order["net_amount"] for order in self.baskets.get(person, ())
                          if event["as_of_date"] < order["order_date"] <= event["as_of_date"] + timedelta(window)]  # fmt: skip
                arms["control" if event["is_holdout"] else "treated"].append((bool(bought), sum(bought, Decimal(0))))
            campaign = next((c for c in self.raw["esp/campaigns"] if c["campaign_id"] == campaign_of.get(audience)), None)
            cost = None
            if campaign and campaign["cost"]:
                began = self.wall(campaign["started_at"])
                cost = ten_thousandths(Decimal(campaign["cost"]) * self.rate(campaign["currency"], began.date() if began else self.as_of))
            rows[audience] = row | compare(arms, cost) | {
                "campaign_id": campaign_of.get(audience), "campaign_name": campaign and campaign["campaign_name"], "cost": cost}  # fmt: skip
        return rows


def compare(arms, cost):
    """What the treated did against the held out."""
    z, power = 1.959963984540054, 0.8416212335729143
    row, rate, each, low, high, spread = {}, {}, {}, {}, {}, {}
    for arm, people in arms.items():
        n, converted, revenue = len(people), sum(c for c, _ in people), sum((r for _, r in people), Decimal(0))
        rate[arm] = converted / n if n else None
        each[arm] = Fraction(revenue) / n if n else None
        spread[arm] = sum((Fraction(r) - each[arm]) ** 2 for _, r in people) / (n - 1) / n if n > 1 else None
        row |= {f"{arm}_people": n, f"{arm}_conversions": converted, f"{arm}_revenue": revenue, f"{arm}_conversion_rate": rate[arm],
                f"{arm}_revenue_per_person": float(each[arm]) if n else None}  # fmt: skip
        if n:
            middle, width = rate[arm] + z**2 / (2 * n), z * math.sqrt(rate[arm] * (1 - rate[arm]) / n + z**2 / (4 * n * n))
            low[arm], high[arm] = ((middle + sign * width) / (1 + z**2 / n) for sign in (-1, 1))
    n, m = row["treated_people"], row["control_people"]
    none = dict.fromkeys(("difference", "relative_difference", "difference_low", "difference_high", "smallest_detectable_difference",
                          "revenue_difference", "relative_revenue_difference", "revenue_difference_low", "revenue_difference_high",
                          "incremental_revenue"))  # fmt: skip
    row |= none | {"result": "not measured"}
    row["return_on_spend"] = float(Fraction(row["treated_revenue"]) / Fraction(cost)) if cost and n else None
    conversions = row["treated_conversions"]
    row["cost_per_conversion"] = ten_thousandths(Fraction(cost) / conversions) if cost is not None and conversions else None
    if not (n and m):
        return row
    difference = rate["treated"] - rate["control"]
    row["difference"] = difference
    row["relative_difference"] = difference / rate["control"] if rate["control"] else None
    row["difference_low"] = difference - math.hypot(rate["treated"] - low["treated"], high["control"] - rate["control"])
    row["difference_high"] = difference + math.hypot(high["treated"] - rate["treated"], rate["control"] - low["control"])
    pooled = (row["treated_conversions"] + row["control_conversions"]) / (n + m)
    if 0 < pooled < 1:
        row["smallest_detectable_difference"] = (z + power) * math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    row["result"] = (
        "treated convert more" if row["difference_low"] > 0
        else "treated convert less" if row["difference_high"] < 0 else "no difference shown"
    )  # fmt: skip
    money = each["treated"] - each["control"]
    row["revenue_difference"] = float(money)
    row["relative_revenue_difference"] = float(money / each["control"]) if each["control"] else None
    row["incremental_revenue"] = ten_thousandths(money * n)
    if spread["treated"] is not None and spread["control"] is not None:
        margin = z * math.sqrt(spread["treated"] + spread["control"])
        row["revenue_difference_low"], row["revenue_difference_high"] = float(money) - margin, float(money) + margin
    return row
