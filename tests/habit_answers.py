"""How people use the app, in plain Python from a shop's raw files (shop_oracle.Shop): the marts of models/marts/habits."""

from collections import Counter, defaultdict
from datetime import timedelta
from itertools import pairwise
from statistics import median
from zoneinfo import ZoneInfo, available_timezones

import oracle
import shop_answers
from shop_oracle import NEVER_ENDS, email_of, seed

# the variables of dbt_project.yml
MIN_ACTIVE_DAYS, SLIP_RATIO, MIN_EVENTS = 5, 3, 10
MESSAGE_DAYS, IGNORED, GONE = 365, 5, 15
OUTCOMES = ("sent", "delivered", "opened", "clicked", "unsubscribed", "complained")
ZONES = available_timezones()
GOALS = {"step": ("onboarding_step_completed", "onboarding_steps"), "feature": ("feature_used", "key_features")}


def months_until(first, last):
    """The first days of the months from one day's to the other's."""
    month = first.replace(day=1)
    while month <= last:
        yield month
        month = (month + timedelta(31)).replace(day=1)


def most(values):
    """What comes most often; of equals the first in order; None without any."""
    counts = Counter(value for value in values if value is not None)
    return min(counts, key=lambda value: (-counts[value], value)) if counts else None


class Habits:
    def __init__(self, shop):
        self.shop, self.as_of = shop, shop.as_of
        self.events = defaultdict(list)
        for row in shop.raw["app/events"]:
            at = shop.wall(row["occurred_at"])
            if at < shop.end:
                self.events[shop.person_of["app", row["user_id"]]].append(row | {"at": at})
        for own in self.events.values():
            own.sort(key=lambda event: (event["at"], event["event_id"]))
        self.days = {person: sorted({event["at"].date() for event in own}) for person, own in self.events.items()}
        self.goals = {
            kind: [row["step" if kind == "step" else "feature"]
                   for row in sorted(seed(shop.project, file), key=lambda row: int(row["position"]))]
            for kind, (_, file) in GOALS.items()
        }  # fmt: skip
        self.names = {row["product_id"]: row["product_name"] for row in shop.raw["shop/products"]}
        self.bought = defaultdict(list)
        for (_, product), line in shop_answers.order_lines(shop).items():
            self.bought[line["order"]["person_id"], product].append(line["order"]["ordered_at"])
        self.delivered = self.deliveries()

    # --- one person --------------------------------------------------------------------------------------------

    def recent(self, days, person):
        return [day for day in self.days[person] if (self.as_of - day).days < days]

    def streaks(self, person):
        """The longest run of days, and the present one."""
        runs, before = [], None
        for day in self.days[person]:
            if before and (day - before).days == 1:
                runs[-1] += 1
            else:
                runs.append(1)
            before = day
        return runs[-1] if (self.as_of - before).days <= 1 else 0, max(runs)

    def firsts(self, person, kind):
        """goal -> when it was reached first"""
        found = {}
        for event in self.events[person]:
            if event["event_name"] == GOALS[kind][0] and event["detail"] in self.goals[kind]:
                found.setdefault(event["detail"], event["at"])
        return found

    def in_first_days(self, person, moment):
        return (moment.date() - self.days[person][0]).days < 7

    def last_product(self, person, name):
        """The product of the last such event: id, name, when, and whether it was not bought."""
        seen = [event for event in self.events[person] if event["event_name"] == name and event["product_id"]]
        if not seen:
            return None, None, None, False
        product, at = seen[-1]["product_id"], seen[-1]["at"]
        is_bought = any(ordered_at >= at for ordered_at in self.bought[person, product])
        return product, self.names.get(product, product), at, not is_bought

    def usual_time(self, person):
        """Weekday and hour by the person's own clock."""
        name = self.shop.profiles[person]["time_zone"]
        zone = ZoneInfo(name) if name in ZONES else self.shop.zone
        own = [
            event["at"].replace(tzinfo=self.shop.zone).astimezone(zone)
            for event in self.events[person]
            if (self.as_of - event["at"].date()).days < 90
        ]
        if len(own) < MIN_EVENTS:
            return None, None
        return most(moment.isoweekday() for moment in own), most(moment.hour for moment in own)

    def deliveries(self):
        """(person, channel) -> (when delivered, whether it was read) of the last year"""
        channels = {row["campaign_id"]: row["channel"].lower() for row in self.shop.raw["esp/campaigns"]}
        found = defaultdict(list)
        for row in self.shop.raw["esp/messages"]:
            done = {name: self.shop.wall(row.get(f"{name}_at")) for name in (*OUTCOMES, "bounced")}
            by_then = {name for name, at in done.items() if at and at < self.shop.end}
            at = done["delivered"] or done["sent"]
            arrived = "bounced" not in by_then or by_then & {*OUTCOMES[2:]}
            if "sent" in by_then and arrived and (self.as_of - at.date()).days < MESSAGE_DAYS:
                for person in self.shop.owners["email", email_of(row["email"])]:
                    is_read = bool(by_then & {"opened", "clicked"})
                    found[person, channels.get(row["campaign_id"], "email")].append((at, is_read))
        return found

    def reading(self, person, channel):
        own = self.delivered[person, channel]
        if len(own) < IGNORED:
            return None
        last = max((at for at, is_read in own if is_read), default=None)
        unread = sum(last is None or at > last for at, _ in own)
        return "gone" if unread >= GONE else "ignoring" if unread >= IGNORED else "reading"

    # --- the marts ---------------------------------------------------------------------------------------------

    def customer_habits(self):
        """person -> the columns of customer_habits behind person_id"""
        rows = {}
        steps, features = (len(self.goals[kind]) for kind in ("step", "feature"))
        nothing = {
            "active_days_7d": 0, "active_days_30d": 0, "active_days_90d": 0, "current_streak_days": 0, "longest_streak_days": 0,
            "median_days_between": None, "disuse_days": None, "disuse_ratio": None, "is_slipping": False, "sessions_30d": 0,
            "events_per_session_30d": None, "first_active_date": None, "onboarding_steps_done": 0, "onboarding_steps": steps,
            "next_onboarding_step": None, "onboarding_completed_at": None, "key_features_used_7d": 0, "key_features": features,
            "missing_key_feature": None, "email_habit": None, "sms_habit": None, "push_habit": None, "preferred_weekday": None,
            "preferred_hour": None, "platform": None, "device": None, "last_viewed_product_id": None,
            "last_viewed_product_name": None, "last_viewed_at": None, "last_wished_product_id": None,
            "last_wished_product_name": None, "last_wished_at": None, "viewed_not_bought": False, "wished_not_bought": False,
        }  # fmt: skip
        for person in self.shop.first_seen:
            row = dict(nothing)
            if self.shop.erased.get(person, NEVER_ENDS) == NEVER_ENDS:
                row |= {f"{channel}_habit": self.reading(person, channel) for channel in ("email", "sms", "push")}
                row |= self.use_of_the_app(person) if person in self.days else {}
            assert row.keys() == nothing.keys()
            rows[person] = tuple(row.values())
        return rows

    def use_of_the_app(self, person):
        lately = self.recent(90, person)
        gaps = [(after - before).days for before, after in pairwise(lately)]
        rhythm = float(median(gaps)) if len(lately) >= MIN_ACTIVE_DAYS else None
        disuse = (self.as_of - self.days[person][-1]).days
        current, longest = self.streaks(person)
        in_sessions = [
            (event["at"].date(), event["session_id"])
            for event in self.events[person]
            if event["session_id"] and (self.as_of - event["at"].date()).days < 30
        ]
        steps, features = (self.firsts(person, kind) for kind in ("step", "feature"))
        left, unseen = (
            [goal for goal in self.goals[kind] if goal not in found] for kind, found in (("step", steps), ("feature", features))
        )
        weekday, hour = self.usual_time(person)
        where = [event for event in self.events[person] if (self.as_of - event["at"].date()).days < 90]
        viewed, wished = (self.last_product(person, name) for name in ("product_viewed", "product_wished"))
        return {
            **{f"active_days_{days}d": len(self.recent(days, person)) for days in (7, 30, 90)},
            "current_streak_days": current,
            "longest_streak_days": longest,
            "median_days_between": rhythm,
            "disuse_days": disuse,
            "disuse_ratio": disuse / rhythm if rhythm else None,
            "is_slipping": rhythm is not None and disuse >= SLIP_RATIO * rhythm,
            "sessions_30d": len(set(in_sessions)),
            "events_per_session_30d": shop_answers.share(len(in_sessions), len(set(in_sessions))),
            "first_active_date": self.days[person][0],
            "onboarding_steps_done": len(steps),
            "next_onboarding_step": left[0] if left else None,
            "onboarding_completed_at": None if left else max(steps.values()),
            "key_features_used_7d": sum(self.in_first_days(person, at) for at in features.values()),
            "missing_key_feature": unseen[0] if unseen else None,
            "preferred_weekday": weekday,
            "preferred_hour": hour,
            "platform": most(event["platform"] for event in where),
            "device": most(event["device"] for event in where),
            **dict(zip((f"last_viewed_{part}" for part in ("product_id", "product_name", "at")), viewed[:3], strict=True)),
            **dict(zip((f"last_wished_{part}" for part in ("product_id", "product_name", "at")), wished[:3], strict=True)),
            "viewed_not_bought": viewed[3],
            "wished_not_bought": wished[3],
        }

    def active_on(self, last, days):
        """person -> on how many of the days that end with this one; those on none are left out"""
        counts = Counter()
        for person, own in self.days.items():
            counts[person] = sum(0 <= (last - day).days < days for day in own)
        return +counts

    def habit_metrics(self):
        """day -> DAU, WAU, MAU, stickiness"""
        first = min(own[0] for own in self.days.values())
        rows = {}
        for n in range((self.as_of - first).days + 1):
            day = first + timedelta(n)
            counts = [len(self.active_on(day, days)) for days in (1, 7, 28)]
            rows[day] = (*counts, shop_answers.share(counts[0], counts[2]))
        return rows

    def histogram(self):
        """(month, active days) -> month as text, month end, people, whether the month is over"""
        rows, first = {}, min(own[0] for own in self.days.values())
        for last in oracle.month_ends(first, self.as_of).values():
            counts = Counter(self.active_on(last, 28).values())
            is_over = (last + timedelta(1)).day == 1
            for days in range(1, 29):
                rows[last.replace(day=1), days] = (f"{last:%Y-%m}", last, counts[days], is_over)
        return rows

    def onboarding_cohorts(self):
        """(month, kind, name) -> month as text, position, people, mature people, done in 7 days, share, whether all are mature"""
        goals = [("onboarding_completed", "all_steps", 0)]
        goals += [(kind, name, place) for kind, names in self.goals.items() for place, name in enumerate(names, 1)]
        firsts = {person: own[0] for person, own in self.days.items()}
        done = Counter()
        for person, first in firsts.items():
            if (self.as_of - first).days >= 6:
                month = first.replace(day=1)
                in_time = {
                    (kind, name)
                    for kind in GOALS
                    for name, at in self.firsts(person, kind).items()
                    if self.in_first_days(person, at)
                }
                done.update((month, *goal) for goal in in_time)
                done[month, "onboarding_completed", "all_steps"] += all(("step", step) in in_time for step in self.goals["step"])
        rows = {}
        for month in months_until(min(firsts.values()), self.as_of):
            own = [first for first in firsts.values() if first.replace(day=1) == month]
            mature = sum((self.as_of - first).days >= 6 for first in own)
            ends = (month + timedelta(31)).replace(day=1) - timedelta(1)
            for kind, name, position in goals:
                count = done[month, kind, name]
                rows[month, kind, name] = (
                    f"{month:%Y-%m}", position, len(own), mature, count, shop_answers.share(count, mature),
                    (self.as_of - ends).days >= 6,
                )  # fmt: skip
        return rows
