"""A weather app without a shop, an ESP or any address: ids, default cities and events are enough."""

import csv
from collections import Counter
from datetime import date, datetime, timedelta

import pytest

AS_OF = date(2024, 5, 20)
MONTH_ENDS = (date(2024, 2, 29), date(2024, 3, 31), date(2024, 4, 30), AS_OF)
USERS = 60


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """60 users register day by day; every third adds a city, every fifth two; Malmö has too few to be shown."""
    folder = tmp_path_factory.mktemp("app_only")
    (folder / "app").mkdir()
    users, events = [], []
    for number in range(USERS):
        user = f"u{number:02}"
        born = datetime(2024, 2, 1, 9) + timedelta(days=number)
        city = "Malmö" if number < 3 else ("Oslo", " oslo", "Lisboa", "")[number % 4]
        users.append((user, city, born))
        day = [("app_opened", "", born), ("location_searched", "Reykjavík", born + timedelta(minutes=1))]
        if number % 3 == 0:
            day.append(("location_added", "Tromsø", born + timedelta(days=20)))
        if number % 5 == 0:
            day.append(("location_added", "Porto", born + timedelta(days=20, minutes=5)))
        events += [
            (f"{user}-{index}", user, f"{user}-{moment:%j}", name, place, moment)
            for index, (name, place, moment) in enumerate(day)
        ]
    for name, header, rows in (
        ("users", ("user_id", "default_city", "created_at"), users),
        ("events", ("event_id", "user_id", "session_id", "event_name", "city", "occurred_at"), events),
    ):
        with (folder / "app" / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)
    return folder


@pytest.fixture(scope="module")
def app(build, raw):
    return build(raw, sources=["app"], as_of_date=str(AS_OF), business_time_zone="UTC")


def test_app_users_are_people_without_orders(app):
    assert app.row("select count(*), count_if(is_customer), count(email) from marts.customers") == (USERS, 0, 0)
    assert app.row("select count(*) from marts.cohort_value") == (0,)
    assert app.row("select count(*) from intermediate.rejected_rows") == (0,)


def test_locations_are_known_per_person(app):
    assert dict(app.rows("select city, count(*) from marts.customer_locations where is_default group by city")) == {
        "Malmö": 3,
        "Oslo": 28,
        "Lisboa": 14,
    }
    extras = app.rows("select city, kind, count(*) from marts.customer_locations where not is_default group by all")
    assert {row[:2]: row[2] for row in extras} == {
        ("Reykjavík", "searched"): 60,
        ("Tromsø", "added"): 20,
        ("Porto", "added"): 12,
    }


def test_location_cohorts_equal_plain_counting(app):
    """Every figure that is shown, and that what is hidden is together in `other`."""
    ends = dict(zip((date(2024, month, 1) for month in (2, 3, 4, 5)), MONTH_ENDS, strict=True))
    everybody, active, sessions = Counter(), Counter(), Counter()
    for number in range(USERS):
        born = date(2024, 2, 1) + timedelta(days=number)
        added = born + timedelta(days=20)
        extras = (number % 3 == 0) + (number % 5 == 0)
        days = [born, added] if extras else [born]
        place = "Malmö" if number < 3 else ("Oslo", "Oslo", "Lisboa", "unknown")[number % 4]
        for month, end in ends.items():
            if born <= end:
                group = month, place, str(extras if added <= end else 0)
                everybody[group] += 1
                active[group] += any(end - timedelta(29) <= day <= end for day in days)
                sessions[group] += sum(month <= day <= end for day in days)
    marts = app.dicts("select * from marts.location_cohorts")
    assert {row["month"] for row in marts} == set(ends)
    for row in marts:
        group = row["month"], row["default_location"], row["extra_locations"]
        assert row["is_complete"] == (row["month"] < date(2024, 5, 1))
        if row["is_suppressed"]:
            assert row["users"] is row["active_users"] is row["sessions"] is row["session_depth"] is None
        elif row["default_location"] != "other":
            assert row["users"] == everybody[group] and (row["users"] == 0 or row["users"] >= 5)
            assert (row["active_users"], row["sessions"]) == (active[group], sessions[group])
    for month in ends:
        for figure, counted in (("users", everybody), ("active_users", active), ("sessions", sessions)):
            expected = sum(count for (when, _, _), count in counted.items() if when == month)
            assert sum(row[figure] or 0 for row in marts if row["month"] == month) == expected
    named = {row["default_location"] for row in marts}
    assert "Malmö" not in named and {"Oslo", "Lisboa", "unknown", "other"} <= named


def test_location_cohorts_end_where_lifecycle_metrics_stand(app):
    """With nothing but an app its users are all people."""
    assert app.rows(
        "select users, active_users from marts.lifecycle_metrics "
        "where metric_date = last_day(metric_date) or metric_date = (select as_of_date from intermediate.int_as_of) "
        "order by metric_date"
    ) == app.rows("select sum(users), sum(active_users) from marts.location_cohorts group by month order by month")


def test_habits_of_people_known_by_ids_alone(app):
    """Everybody has a day in the app, every third and fifth another one 20 days later; nobody says which step they took."""
    days = {}
    for number in range(USERS):
        born = date(2024, 2, 1) + timedelta(days=number)
        days[f"u{number:02}"] = [born] + [born + timedelta(days=20)] * (number % 3 == 0 or number % 5 == 0)
    rows = app.dicts("select app_user_id, customer_habits.* from marts.customer_habits inner join marts.customers using (person_id)")
    assert len(rows) == USERS
    for row in rows:
        own = days[row["app_user_id"]]
        assert row["first_active_date"] == own[0] and row["disuse_days"] == (AS_OF - own[-1]).days
        assert row["active_days_90d"] == sum(AS_OF - timedelta(90) < day for day in own)
        assert (row["longest_streak_days"], row["current_streak_days"], row["is_slipping"]) == (1, 0, False)
        assert row["median_days_between"] is row["platform"] is row["preferred_hour"] is row["email_habit"] is None
        assert (row["onboarding_steps_done"], row["next_onboarding_step"]) == (0, "units_chosen")
        assert (row["missing_key_feature"], row["viewed_not_bought"]) == ("rain_radar", False)
    metrics = app.dicts("select * from marts.habit_metrics order by metric_date")
    assert [row["metric_date"] for row in metrics] == [date(2024, 2, 1) + timedelta(n) for n in range((AS_OF - date(2024, 2, 1)).days + 1)]
    for row in metrics:
        for name, length in (("dau", 1), ("wau", 7), ("mau", 28)):
            since = row["metric_date"] - timedelta(length)
            assert row[name] == sum(any(since < day <= row["metric_date"] for day in own) for own in days.values())
    mau = {row["metric_date"]: row["mau"] for row in metrics}
    histogram = app.rows("select month_end, sum(people) from marts.active_day_histogram group by month_end order by month_end")
    assert histogram == [(end, mau[end]) for end in MONTH_ENDS]
    assert app.rows("select distinct done_in_7d from marts.onboarding_cohorts") == [(0,)]
    born = Counter(own[0].replace(day=1) for own in days.values())
    assert dict(app.rows("select cohort_month, max(people) from marts.onboarding_cohorts group by all having max(people) > 0")) == born
