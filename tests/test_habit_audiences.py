"""Audiences from habits and subscriptions on the demo, against plain Python from its raw files."""

from datetime import timedelta

import pytest

from habit_answers import Habits
from subscription_answers import subscriptions
from support import Warehouse


@pytest.fixture(scope="module")
def marts(demo_warehouse):
    return Warehouse(demo_warehouse)


@pytest.fixture(scope="module")
def expected(marts, demo_shop):
    """audience -> {person: what it is about}"""
    columns = [row[0] for row in marts.rows("describe marts.customer_habits")][1:]
    habits = {person: dict(zip(columns, row, strict=True)) for person, row in Habits(demo_shop).customer_habits().items()}
    stages = dict(marts.rows("select person_id, stage from marts.customers where stage != 'erased'"))
    found = {audience: {} for audience in ("slipping_habit", "onboarding_stuck", "feature_not_found", "upgrade_candidates", "browsed_not_bought")}
    for person, stage in stages.items():
        own = habits[person]
        used = own["active_days_30d"] > 0
        if own["is_slipping"] and stage not in ("at_risk", "lapsed"):
            found["slipping_habit"][person] = own["disuse_days"]
        if used and own["next_onboarding_step"]:
            if own["first_active_date"] <= demo_shop.as_of - timedelta(days=3):
                found["onboarding_stuck"][person] = own["next_onboarding_step"]
        elif used and own["missing_key_feature"]:
            found["feature_not_found"][person] = own["missing_key_feature"]
        for deed, days in (("wished", 90), ("viewed", 14)):
            if own[f"{deed}_not_bought"] and own[f"last_{deed}_at"].date() > demo_shop.as_of - timedelta(days=days):
                found["browsed_not_bought"].setdefault(person, own[f"last_{deed}_product_name"])
    for person, *_, next_plan, is_candidate in subscriptions(demo_shop).values():
        if is_candidate:
            plans = next_plan, found["upgrade_candidates"].get(person, "")
            found["upgrade_candidates"][person] = max(plans)
    return found


SUBJECTS = {
    "slipping_habit": "disuse_days",
    "onboarding_stuck": "next_onboarding_step",
    "feature_not_found": "missing_key_feature",
    "upgrade_candidates": "next_plan",
    "browsed_not_bought": "browsed_product",
}


@pytest.mark.parametrize("audience", SUBJECTS)
def test_members_and_what_it_is_about(marts, expected, audience):
    found = dict(marts.rows(
        f"select person_id, {SUBJECTS[audience]} from marts.audience_members join marts.customer_campaign_facts using (person_id) "
        f"where audience = '{audience}'"))  # fmt: skip
    assert found == expected[audience]
    assert len(found) > 3, "the demo shows it"
