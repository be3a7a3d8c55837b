"""The marts of habits on the demo, every column of every row against plain Python from its raw files."""

import pytest

from habit_answers import Habits
from support import Warehouse


@pytest.fixture(scope="module")
def marts(demo_warehouse):
    return Warehouse(demo_warehouse)


@pytest.fixture(scope="module")
def habits(demo_shop):
    return Habits(demo_shop)


def compare(marts, mart, keys, expected):
    """Every row by its first columns, every cell; floats to twelve digits."""
    rows = marts.rows(f"select * from marts.{mart}")
    found = {row[:keys] if keys > 1 else row[0]: row[keys:] for row in rows}
    assert len(found) == len(rows), "a key comes twice"
    expected = {
        key: tuple(pytest.approx(cell, rel=1e-12) if isinstance(cell, float) else cell for cell in row)
        for key, row in expected.items()
    }
    wrong = {key: (found.get(key), expected.get(key)) for key in found.keys() | expected.keys() if found.get(key) != expected.get(key)}
    assert not wrong, f"{len(wrong)} of {len(found)} rows differ, such as {next(iter(wrong.items()))}"


def test_customer_habits(marts, habits):
    compare(marts, "customer_habits", 1, habits.customer_habits())


def test_habit_metrics(marts, habits):
    compare(marts, "habit_metrics", 1, habits.habit_metrics())


def test_active_day_histogram(marts, habits):
    expected = habits.histogram()
    rows = marts.rows("select month, active_days, month_label, month_end, people, is_complete from marts.active_day_histogram")
    assert {row[:2]: row[2:] for row in rows} == expected
    assert len(rows) == len(expected) == 28 * len({month for month, _ in expected})


def test_onboarding_cohorts(marts, habits):
    columns = "cohort_month, kind, name, cohort, position, people, mature_people, done_in_7d, share, is_complete"
    rows = marts.rows(f"select {columns} from marts.onboarding_cohorts")
    expected = habits.onboarding_cohorts()
    assert {row[:3]: row[3:] for row in rows} == expected
    assert len(rows) == len(expected)


def test_every_habit_is_there(marts):
    """Or the comparisons above compared little."""
    for column in ("next_onboarding_step", "missing_key_feature", "email_habit", "platform", "device", "preferred_weekday", "preferred_hour"):
        (values,) = marts.row(f"select count(distinct {column}) from marts.customer_habits")
        assert values >= 3, column
    for column in ("is_slipping", "viewed_not_bought", "wished_not_bought"):
        assert marts.row(f"select count_if({column}) between 20 and count(*) - 20 from marts.customer_habits") == (True,), column
    least = "min(onboarding_completed_at), max(current_streak_days), max(key_features_used_7d), max(longest_streak_days)"
    assert all(marts.row(f"select {least} from marts.customer_habits"))
    shares = dict(marts.rows("select name, sum(done_in_7d) / sum(mature_people) from marts.onboarding_cohorts group by name"))
    assert shares["all_steps"] < shares["notifications_allowed"] < shares["interests_chosen"] < shares["units_chosen"]
    assert 0 < shares["size_adviser"] < shares["rain_radar"]
