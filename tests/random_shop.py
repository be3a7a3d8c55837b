"""A random small shop as raw files: few people with many records, addresses and contradictions.

What other tests are about is left out: rows that cannot be read, and addresses that are spelled in unusual ways.
"""

import csv
import random
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Europe/Berlin")
FIRST, AS_OF = date(2022, 6, 1), date(2024, 9, 30)
CHANNELS = ("email", "sms", "push", "ads")
CITIES = ("Berlin", " berlin", "BERLIN ", "New York", "new  york", "New\N{NO-BREAK SPACE}York", "NewYork", "Köln", "", None)
STATUSES = ("completed", "completed", "completed", "Paid", "pending", "cancelled", "VOIDED", "refunded", None)
STEPS = ("units_chosen", "location_allowed", "interests_chosen", "notifications_allowed")
FEATURES = ("rain_radar", "trail_map", "gear_checklist", "size_adviser")
REASONS = ("erased", "complaint", "hard_bounce", "hard_bounce", "unsubscribed", "spam trap", None)


class RandomShop:
    """The tables of a shop, each a list of rows of text, and how to write them."""

    def __init__(self, seed, people=120):
        self.seed, self.dice = seed, random.Random(seed)
        dice = self.dice
        self.tables = {
            f"{system}/{table}": []
            for system, tables in {
                "shop": ("customers", "orders", "order_items", "refunds", "products"),
                "app": ("users", "events"),
                "esp": ("contacts", "consents", "suppressions", "campaigns", "messages"),
            }.items()
            for table in tables
        }
        self.number = 0
        self.emails, self.own = [], []
        for index in range(12):
            category = dice.choice(("Tea", "Cups", "Pots", None))
            self.add("shop/products", product_id=f"P{index}", product_name=f"Product {index}", category=category)
        for index in range(8):
            self.campaign(f"CMP-0{index + 1}")  # some audiences name these
        for index in range(people):
            self.person(index)
        self.say()

    def add(self, table, **row):
        self.tables[table].append({key: "" if value is None else str(value) for key, value in row.items()})

    def chance(self, share):
        return self.dice.random() < share

    # --- values as people write them ---------------------------------------------------------------------------

    def day(self, first=FIRST, last=AS_OF + timedelta(20)):
        return first + timedelta(self.dice.randrange((last - first).days + 1))

    def moment(self, day=None):
        """A time of the business zone, often at the edge of a day, never in the hours in which clocks change."""
        day = day or (self.dice.choice((AS_OF, AS_OF + timedelta(1), AS_OF - timedelta(29))) if self.chance(0.05) else self.day())
        clock = self.dice.choice((time(0), time(9), time(9, 0, 0, 500000), time(9, 0, 0, 250000), time(23, 59, 59, 999999)))
        if self.chance(0.5):
            clock = time(4 + self.dice.randrange(19), self.dice.randrange(60))
        return datetime.combine(day, clock, ZONE)

    def text(self, moment):
        """A time with an offset, in UTC, or as wall clock of the business zone."""
        if moment is None:
            return None
        return self.dice.choice((
            moment.isoformat(), moment.isoformat(" "), moment.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            moment.replace(tzinfo=None).isoformat(" "), moment.replace(tzinfo=None).isoformat(" "),
        ))  # fmt: skip

    def spelled(self, email):
        return email and self.dice.choice((email, email, email.upper(), f" {email}\t"))

    def dialled(self, phone):
        return phone and self.dice.choice((phone, phone.replace("+49", "0049 "), phone.replace("+49", "+49 (0)"), phone[:5] + "-" + phone[5:]))

    def amount(self, most=200):
        if self.chance(0.01):
            return Decimal(self.dice.choice((1_500_000, 10**10)))
        return Decimal(self.dice.randrange(most * 10**4)).scaleb(-4).quantize(Decimal(1).scaleb(-self.dice.choice((0, 2, 2, 4))))

    # --- people and what they do -------------------------------------------------------------------------------

    def person(self, index):
        dice = self.dice
        emails = [f"person{index}.{n}@example.com" for n in range(dice.choice((1, 1, 2, 3)))]
        phones = [f"+4930{index:04d}{n}" for n in range(2)]
        self.emails += emails
        mine = {"email": set(), "phone": set(), "user_id": set()}
        accounts, users = [], []
        for _ in range(dice.choice((0, 1, 1, 1, 2, 3))):
            accounts.append(f"C{index}-{len(accounts)}")
            for version in range(2 if self.chance(0.15) else 1):
                row = self.account(accounts[-1], emails, phones)
                row["updated_at"] = self.moment(date(2024, 1, 1) + timedelta(30 * version)) if version else row["updated_at"]
                if version == 0 and self.chance(0.3):
                    row["updated_at"] = None
                mine["email"].add(row["email"])
                mine["phone"].add(row["phone"])
                self.add("shop/customers", **row | {
                    "email": self.spelled(row["email"]), "phone": self.dialled(row["phone"]),
                    **{name: self.text(row[name]) for name in ("created_at", "updated_at", "deleted_at")}})  # fmt: skip
        for _ in range(dice.choice((0, 1, 1, 2))):
            users.append(f"U{index}-{len(users)}")
            email = dice.choice((None, *emails))
            linked = dice.choice((None, *accounts, *accounts, f"C{index}-gone"))
            mine["email"].add(email)
            mine["user_id"].add(users[-1])
            if self.chance(0.9):
                self.add("app/users", user_id=users[-1], customer_id=linked, email=self.spelled(email),
                         default_city=dice.choice(CITIES), default_region=dice.choice(("Berlin", None)),
                         default_country=dice.choice(("de", "US", None)), created_at=self.text(self.moment()))  # fmt: skip
        for number in range(dice.choice((0, 0, 1))):
            email = dice.choice(emails)
            mine["email"].add(email)
            self.add("esp/contacts", contact_id=f"X{index}-{number}", email=self.spelled(email),
                     customer_id=dice.choice((None, *accounts)), created_at=self.text(self.moment()))  # fmt: skip
        for _ in range(dice.choice((0, 1, 1, 2, 3, 6))):
            customer = dice.choice((*accounts, f"C{index}-gone", None))
            email = dice.choice((*emails, None))
            if customer is None:
                mine["email"].add(email)
            self.order(customer, email)
        for user in users:
            for _ in range(dice.choice((0, 2, 5))):
                self.event(user)
            self.habit(user)
        self.own.append({kind: sorted(filter(None, addresses)) for kind, addresses in mine.items()})

    def account(self, account, emails, phones):
        dice = self.dice
        return {
            "customer_id": account, "email": dice.choice((*emails, *emails, None)),
            "phone": dice.choice((*phones, None)) if self.chance(0.95) else "+49301111111",  # a household's
            "first_name": dice.choice(("Ann", "Bo", None)), "last_name": dice.choice(("Null", "Ek", None)),
            "country": dice.choice(("de", "FR", None)), "region": dice.choice(("Berlin", None)), "city": dice.choice(("Ulm", None)),
            "language": dice.choice(("DE", "fr", None)), "time_zone": dice.choice(("Europe/Paris", "Asia/Kolkata", "America/Denver", "Mars/Base", None)),
            "acquisition_channel": dice.choice(("social", "search", None)), "created_at": self.moment(),
            "updated_at": self.moment(date(2023, 1, 1)), "deleted_at": self.moment() if self.chance(0.15) else None,
        }  # fmt: skip

    def order(self, customer, email):
        dice, order = self.dice, f"O{self.number:05d}"
        self.number += 1
        ordered = self.moment()
        gross = Decimal(0) if self.chance(0.03) else self.amount()
        discount = (gross * dice.randrange(50) / 100).quantize(Decimal("0.01")) if self.chance(0.3) else None
        row = {
            "order_id": order, "customer_id": customer, "email": self.spelled(email), "ordered_at": self.text(ordered),
            "status": dice.choice(STATUSES), "currency": dice.choice(("EUR", "USD", "gbp", "CHF", None)), "gross_amount": gross,
            "discount_amount": discount, "is_test": dice.choice(("true", "false", "false", "false", "false", None, None, None)),
            "coupon_code": dice.choice((None, "SPRING")), "order_channel": dice.choice((None, "web")),
            "updated_at": self.text(self.moment(date(2024, 9, 1))),
        }  # fmt: skip
        self.add("shop/orders", **row)
        if self.chance(0.1):  # an older version
            self.add("shop/orders", **row | {"gross_amount": gross + 1, "status": "pending", "updated_at": self.text(self.moment(date(2024, 8, 1)))})
        for line in range(dice.choice((0, 1, 2, 3))):
            product = dice.choice((None, "unlisted", *(f"P{n}" for n in range(12))))
            self.add("shop/order_items", order_id=order, line_number=line + 1, product_id=product,
                     quantity=dice.choice((1, 1, 2, 3, None)), unit_price=dice.choice((None, 10, 20, 30, 60)))  # fmt: skip
        for number in range(dice.choice((0, 0, 0, 1, 2, 3))):
            day = ordered.date() + timedelta(dice.choice((-1, 0, 3, 40, 200)))
            amount = ((gross - (discount or 0)) / dice.choice((1, 3, 7))).quantize(Decimal(1).scaleb(-dice.choice((2, 4))))
            self.add("shop/refunds", refund_id=f"{order}-{number}", order_id=order, amount=amount,
                     refunded_at=dice.choice((day.isoformat(), self.text(self.moment(day)))))  # fmt: skip

    def event(self, user):
        self.number += 1
        name = self.dice.choice(("app_opened", "product_viewed", "product_viewed", "product_added_to_cart", "location_searched", "location_added"))
        day = AS_OF - timedelta(self.dice.choice((-1, 0, 5, 13, 14, 29, 30))) if self.chance(0.5) else None
        for _ in range(self.dice.choice((1, 1, 3))):
            self.number += 1
            self.add("app/events", event_id=f"E{self.number}", user_id=user, session_id=f"S{self.number // 3}", event_name=name,
                     occurred_at=self.text(self.moment(day)), city=self.dice.choice(CITIES), detail=None, product_id=None, platform=None,
                     device=None)  # fmt: skip

    def habit(self, user):
        """Some people come often, on days that lie near to the edges of what is counted."""
        dice = self.dice
        away = dice.choice((0, 0, 15, 40))
        for _ in range(dice.choice((0, 0, 6, 12, 25))):
            self.number += 1
            name, details = dice.choice((
                ("onboarding_step_completed", (*STEPS, "unlisted", "rain_radar", None)), ("feature_used", (*FEATURES, "unlisted", None)),
                ("product_viewed", (None,)), ("product_wished", (None,)), ("tea_drunk", (None,)),
            ))  # fmt: skip
            day = AS_OF - timedelta(away + dice.choice((0, 1, 2, 6, 7, 27, 28, 29, 30, 55, 89, 90, dice.randrange(100))))
            self.add("app/events", event_id=f"E{self.number}", user_id=user, session_id=dice.choice((None, f"H{self.number // 3}")),
                     event_name=name, occurred_at=self.text(self.moment(day)), city=None, detail=dice.choice(details),
                     product_id=dice.choice((None, "unlisted", *(f"P{n}" for n in range(12)))) if name.startswith("product") else None,
                     platform=dice.choice(("web", "ios", None)), device=dice.choice(("phone", "tablet", None)))  # fmt: skip

    # --- what is said, and what is sent ------------------------------------------------------------------------

    def campaign(self, campaign):
        dice = self.dice
        self.add("esp/campaigns", campaign_id=campaign, campaign_name=f"Campaign {campaign}", stage=dice.choice(("Act", "engage", None)),
                 channel=dice.choice(("email", "sms", "Push")), activity=dice.choice(("welcome", "Win_Back", "odd", None)),
                 is_always_on=dice.choice(("true", "false", None)), cost=dice.choice((None, 100, "33.33")),
                 currency=dice.choice((None, "EUR", "usd")), started_at=dice.choice((None, self.text(self.moment()))),
                 ended_at=dice.choice((None, None, self.text(self.moment()))))  # fmt: skip

    def say(self):
        dice = self.dice
        for mine in self.own:
            kinds = [kind for kind in mine if mine[kind]]
            for _ in range(dice.choice((0, 1, 2, 4)) if kinds else 0):
                self.statement(mine, kinds)
            for _ in range(dice.choice((0, 0, 0, 0, 1, 2)) if kinds else 0):
                said = self.addresses(mine, kinds)
                self.add("esp/suppressions", **said, channel=dice.choice((*CHANNELS, None, "fax")), reason=dice.choice(REASONS),
                         suppressed_at=self.text(self.moment() if self.chance(0.85) else None))  # fmt: skip
        for email in self.emails:
            reads = dice.choice((0, 0.1))
            for _ in range(dice.choice((0, 0, 1, 3, 3, 8, 25))):
                self.number += 1
                sent = self.moment(self.day(AS_OF - timedelta(120)))
                later = self.text(sent + timedelta(hours=10))
                self.add("esp/messages", message_id=f"M{self.number}", campaign_id=f"CMP-0{1 + dice.randrange(9)}", email=self.spelled(email),
                         sent_at=self.text(sent), opened_at=later if self.chance(reads) else None,
                         clicked_at=later if self.chance(reads / 2) else None, bounced_at=later if self.chance(0.1) else None,
                         unsubscribed_at=later if self.chance(0.03) else None,
                         complained_at=later if self.chance(0.02) else None)  # fmt: skip
        # of nobody
        self.add("esp/suppressions", email="stranger@example.com", phone=None, user_id=None, channel=None, reason="erased", suppressed_at=None)
        self.add("esp/consents", email="stranger2@example.com", phone=None, user_id=None, channel="sms", status="no", changed_at=None)

    def addresses(self, mine, kinds):
        chosen = self.dice.sample(kinds, self.dice.choice((1, 1, len(kinds))))
        said = {kind: self.dice.choice(mine[kind]) if kind in chosen else None for kind in mine}
        return said | {"email": self.spelled(said["email"]), "phone": self.dialled(said["phone"])}

    def statement(self, mine, kinds):
        status = self.dice.choice(("opted_in", "OPTED_IN", "opted_in", "opted_out", "pending", None))
        at = self.moment() if self.chance(0.85) else None
        text = self.text(at)
        if self.chance(0.1):  # the hour that autumn repeats
            at = datetime(2023, 10, 29, 0, 10, tzinfo=UTC) + timedelta(minutes=20 * self.dice.randrange(6))
            text = at.astimezone(ZONE).isoformat()
        channel = self.dice.choice((*CHANNELS, *CHANNELS, *CHANNELS, None, "fax"))
        self.add("esp/consents", **self.addresses(mine, kinds), channel=channel, status=status, changed_at=text)

    def state(self, people):
        """Events of two audiences, one of them gone: who entered and left, drawn at shares that change."""
        events = []
        for audience in ("lapsed", "gone_audience"):
            for day in (date(2024, 6, 20), date(2024, 8, 30), date(2024, 8, 31), date(2024, 9, 10), AS_OF + timedelta(1)):
                share = 0.3 if day < date(2024, 7, 1) else 0.5
                events.append({"as_of_date": day, "audience": audience, "event": "built", "holdout_share": share})
                events += [
                    {"as_of_date": day, "audience": audience, "event": event, "person_id": person, "entered_on": day,
                     "is_holdout": self.chance(share), "holdout_share": share}
                    for person in people if self.chance(0.4) for event in self.dice.choice((["entered"], ["entered"], ["left"]))
                ]  # fmt: skip
        return events

    # --- files -------------------------------------------------------------------------------------------------

    def write(self, folder, dice=None):
        """Shuffled, since the order of rows means nothing; with dice also in parts, and every fifth row twice."""
        for name, rows in self.tables.items():
            (dice or self.dice).shuffle(rows)
            if not dice:
                self.write_file(folder / f"{name}.csv", rows)
                continue
            doubled = dice.sample([*rows, *dice.sample(rows, len(rows) // 5)], len(rows) + len(rows) // 5)
            parts = dice.randint(1, min(4, len(doubled)))
            for part in range(parts):
                self.write_file(folder / name / f"part-{part}.csv", doubled[part::parts])

    @staticmethod
    def write_file(path, rows):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
