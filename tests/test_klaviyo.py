"""Klaviyo's CSV exports: what profiles agreed to, and who is suppressed."""

from datetime import datetime

import pytest

from support import Warehouse, dbt, write

SMALL = {"sources": ["shop", "esp", "klaviyo"], "as_of_date": "2026-03-31", "business_time_zone": "Europe/Berlin"}
# names: the consent of the profile, then what the shop's other system heard
PEOPLE = ("yes", "undated_yes", "undated_yes_no", "never", "never_yes", "no", "undated_no_yes", "late_yes", "spam", "bounced", "user")
HEADER = (
    "Email,Klaviyo ID,First Name,Phone Number,External ID,Email Marketing Consent,Email Marketing Consent Timestamp,"
    "SMS Marketing Consent,Email Suppressions,Profile Created On\n"
)
FILES = {
    "shop/customers.csv": "customer_id,email,created_at\n"
    + "".join(f"{number},{name}@example.com,2026-01-01\n" for number, name in enumerate(PEOPLE)),
    "shop/orders.csv": "order_id,customer_id,ordered_at,gross_amount\no1,0,2026-01-05 10:00:00,10.00\n",
    "esp/consents.csv": "email,channel,status,changed_at\n"
    "undated_yes_no@example.com,email,opted_out,2020-01-01T00:00:00Z\n"
    "never_yes@example.com,email,opted_in,2026-03-01T00:00:00Z\n"
    "undated_no_yes@example.com,email,opted_in,2026-03-01T00:00:00Z\n",
    "esp/suppressions.csv": "email,channel,reason\n",
    # two exported lists: yes is in both; the external ids are somebody else's numbers
    "klaviyo/profiles/newsletter.csv": "\ufeff"
    + HEADER
    + """YES@example.com,K1,Žofie,,9,SUBSCRIBED,2026-03-31T21:59:59+00:00,NEVER_SUBSCRIBED,[],2025-12-01 10:00:00
undated_yes@example.com,K2,,,,SUBSCRIBED,,,[],2025-12-01 10:00:00
undated_yes_no@example.com,K3,,,,SUBSCRIBED,,,[],2025-12-01 10:00:00
never@example.com,K4,,+49301234,5,NEVER_SUBSCRIBED,,UNSUBSCRIBED,[],2025-12-01 10:00:00
never_yes@example.com,K5,,,,NEVER_SUBSCRIBED,,,[],2025-12-01 10:00:00
no@example.com,K6,,,,UNSUBSCRIBED,2026-03-01T10:00:00+00:00,,[],2025-12-01 10:00:00
undated_no_yes@example.com,K7,,,,UNSUBSCRIBED,,,[],2025-12-01 10:00:00
late_yes@example.com,K8,,,,SUBSCRIBED,2026-03-31T22:00:00+00:00,,[],2025-12-01 10:00:00
spam@example.com,K9,,,,SUBSCRIBED,2026-03-01T10:00:00+00:00,,[],2025-12-01 10:00:00
""",
    "klaviyo/profiles/buyers.csv": HEADER
    + """yes@example.com,K1,,,9,SUBSCRIBED,2026-03-31T21:59:59+00:00,NEVER_SUBSCRIBED,[],2025-12-01 10:00:00
bounced@example.com,K10,,,,SUBSCRIBED,2026-03-01T10:00:00+00:00,,"[""HARD_BOUNCE""]",2025-12-01 10:00:00
user@example.com,K11,,,,SUBSCRIBED,2026-03-01T10:00:00+00:00,,[],2025-12-01 10:00:00
""",
    "klaviyo/suppressions.csv": "Email,Reason,Timestamp\n"
    "spam@example.com,SPAM_COMPLAINT,2026-03-02T10:00:00+00:00\nUser@example.com,USER_SUPPRESSED,2020-01-01T00:00:00+00:00\n",
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The models of the adapter with their unit tests, then everything up to customers."""
    folder = tmp_path_factory.mktemp("klaviyo")
    write(folder / "raw", FILES)
    place = {"raw": folder / "raw", "warehouse": folder / "lifecycle.duckdb", "variables": SMALL}
    dbt("build", "--select", "path:models/staging/klaviyo", "resource_type:seed", "--exclude", "test_type:data", **place)
    dbt("run", "--select", "+customers", "+rejected_rows", **place)
    opened = Warehouse(folder / "lifecycle.duckdb")
    yield opened
    opened.connection.close()


def test_consent_and_suppressions_decide_who_may_be_written_to(small):
    decided = small.rows(
        "select split_part(email, '@', 1), can_email, blocked_reason, consented_at "
        "from marts.customers join marts.customer_channels using (person_id) where channel = 'email'"
    )
    assert {name: (can, reason) for name, can, reason, _ in decided} == {
        "yes": (True, None),  # in the last second of the last day in Berlin
        "undated_yes": (True, None),
        "undated_yes_no": (False, "no_consent"),  # older than every dated no
        "never": (False, "no_consent"),
        "never_yes": (True, None),  # who was never asked by Klaviyo has not taken back a yes
        "no": (False, "no_consent"),
        "undated_no_yes": (False, "no_consent"),  # always
        "late_yes": (False, "no_consent"),  # on the day after
        "spam": (False, "complaint"),
        "bounced": (False, "hard_bounce"),
        "user": (False, "unsubscribed"),
    }
    times = {name: at for name, can, _, at in decided if can}
    assert times == {"yes": datetime(2026, 3, 31, 23, 59, 59), "undated_yes": None, "never_yes": datetime(2026, 3, 1, 1)}


def test_a_profile_is_one_contact_and_its_external_id_nobodys(small):
    """Customer 9 is somebody else than the profile with that external id: nobody declared whose ids they are."""
    assert small.row("select count(*), count(distinct contact_id), count(customer_id) from staging.stg_esp__contacts") == (11, 11, 0)
    assert small.row("select count(*), count(distinct email) from marts.customers") == (len(PEOPLE), len(PEOPLE))
    assert small.rows("select email, phone, status from staging.stg_esp__consents where channel = 'sms'") == [
        ("never@example.com", "+49301234", "opted_out")
    ]
