"""Mailchimp's audience export: who agreed, who left, who bounced, and whose word is the last."""

from datetime import datetime

import pytest

from support import NO_UNIT_TESTS, Warehouse, dbt, shared_data, write

SMALL = {
    "sources": ["shop", "esp", "mailchimp"],
    "as_of_date": "2026-03-31",
    "business_time_zone": "Europe/Berlin",
    # New York is six hours behind Berlin, but five from 8 to 29 March
    "source_settings": {"mailchimp": {"time_zone": "America/New_York"}},
}
HEADER = "Email Address,Vorname,OPTIN_TIME,CONFIRM_TIME,{}LAST_CHANGED,LEID,EUID,SMS Phone Number,SMS_MARKETING_STATUS\n"
PEOPLE = ("yes", "left", "back", "tie", "bounced", "spam", "buyer", "undated", "confirmed", "broken", "quiet")
FILES = {
    "shop/customers.csv": "customer_id,email,phone,created_at\n"
    + "".join(f"{name},{name}@example.com,{'+49301111' if name == 'buyer' else ''},2026-01-01\n" for name in PEOPLE),
    "shop/orders.csv": "order_id,customer_id,ordered_at,gross_amount\no1,yes,2026-01-05 10:00:00,10.00\n",
    # what another system heard, in UTC: a yes at noon of 10 March of everybody but quiet, and a no of back and confirmed
    "esp/consents.csv": "email,channel,status,changed_at\n"
    + "".join(f"{name}@example.com,email,opted_in,2026-03-10T12:00:00Z\n" for name in PEOPLE if name != "quiet")
    + "back@example.com,email,opted_out,2026-03-10T18:00:00Z\nconfirmed@example.com,email,opted_out,2026-03-10T18:00:00Z\n",
    "esp/suppressions.csv": "email,channel,reason\n",
    # an audience of January, and another one
    "mailchimp/subscribed_members_export_0a1b.csv": HEADER.format("")
    + """Yes@Example.com,Zoë,2026-01-01 10:00:00,2026-01-01 10:00:00,2026-01-01 10:00:00,1,e1,,
left@example.com,Ödön,2026-01-01 10:00:00,2026-01-01 10:00:00,2026-01-01 10:00:00,2,e2,,
confirmed@example.com,,2026-03-10 13:30:00,2026-03-10 14:30:00,2026-03-10 14:30:00,3,e3,,
broken@example.com,,2026-01-01 10:00:00,2026-01-01 10:00:00,2026-01-01 10:00:00,4,e4,,,one,field,too,many
quiet@example.com,,,,2026-01-01 10:00:00,5,e5,,
""",
    "mailchimp/subscribed_members_export_2c3d.csv": HEADER.format("")
    + "back@example.com,,2026-03-10 15:00:00,2026-03-10 15:00:00,2026-03-10 15:00:00,6,e6,,\n",
    "mailchimp/unsubscribed_members_export_0a1b.csv": HEADER.format("UNSUB_TIME,UNSUB_REASON,")
    + """back@example.com,,2026-01-01 10:00:00,2026-01-01 10:00:00,2026-02-01 10:00:00,NORMAL,2026-02-01 10:00:00,7,e6,,
tie@example.com,,2026-01-01 10:00:00,2026-01-01 10:00:00,2026-03-10 08:00:00,NORMAL,2026-03-10 08:00:00,8,e7,,
spam@example.com,,2026-01-01 10:00:00,2026-01-01 10:00:00,2026-02-01 10:00:00,ABUSE,2026-02-01 10:00:00,9,e8,,
undated@example.com,,2026-01-01 10:00:00,2026-01-01 10:00:00,,NORMAL,2026-02-01 10:00:00,10,e9,,
""",
    "mailchimp/unsubscribed_members_export_2c3d.csv": HEADER.format("UNSUB_TIME,UNSUB_REASON,")
    + "left@example.com,,2026-01-01 10:00:00,2026-01-01 10:00:00,2026-03-10 08:00:01,NORMAL,2026-03-10 08:00:01,11,e2,,\n",
    "mailchimp/cleaned_members_export_0a1b.csv": HEADER.format("CLEAN_TIME,")
    + "bounced@example.com,,2026-01-01 10:00:00,2026-01-01 10:00:00,2026-02-01 10:00:00,2026-02-01 10:00:00,12,e10,,\n",
    "mailchimp/nonsubscribed_members_export_0a1b.csv": HEADER.format("")
    + "buyer@example.com,,,2026-03-11 10:00:00,2026-03-11 10:00:00,13,e11,'+49 30 1111,Unsubscribed\n",
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The models of the adapter with their unit tests, then everything up to customers."""
    folder = tmp_path_factory.mktemp("mailchimp")
    write(folder / "raw", FILES)
    place = {"raw": folder / "raw", "warehouse": folder / "lifecycle.duckdb", "variables": SMALL}
    dbt("build", "--select", "path:models/staging/mailchimp", "resource_type:seed", "--exclude", "test_type:data", **place)
    dbt("run", "--select", "+customers", "+rejected_rows", **place)
    dbt("test", "--select", "no_no_in_the_raw_data_is_lost", "nobody_who_said_no_can_be_contacted", **place)
    opened = Warehouse(folder / "lifecycle.duckdb")
    yield opened
    opened.connection.close()


def test_the_latest_word_holds_over_all_audiences_and_systems(small):
    """A tie is a no, a no without a time always; who bounced or complained is not written to, whatever they said later."""
    assert dict(small.rows("select split_part(email, '@', 1), can_email from marts.customers")) == {
        "yes": True,
        "left": False,  # a second after the yes elsewhere, in another audience than the one still subscribed
        "back": True,  # left one audience, said no elsewhere at 18:00 UTC, joined another one at 19:00 UTC
        "tie": False,  # 08:00 in New York is 12:00 UTC
        "bounced": False,
        "spam": False,
        "buyer": True,
        "undated": False,
        "confirmed": True,  # the form was sent before the no elsewhere, the confirmation came after it
        "broken": False,  # what the line said cannot be read
        "quiet": True,  # subscribed, with no time
    }
    assert dict(
        small.rows(
            "select split_part(customers.email, '@', 1), channels.blocked_reason from marts.customer_channels as channels "
            "join marts.customers using (person_id) where channel = 'email' and blocked_reason in ('hard_bounce', 'complaint')"
        )
    ) == {"bounced": "hard_bounce", "spam": "complaint"}


def test_times_are_the_accounts_zone(small):
    """Eight in the morning in New York, 12:00 UTC, 13:00 in Berlin."""
    assert small.row(
        "select changed_at, changed_at_utc from staging.stg_esp__consents where email = 'tie@example.com' and source = 'mailchimp'"
    ) == (datetime(2026, 3, 10, 13), datetime(2026, 3, 10, 12))


def test_contacts_are_one_per_address_and_text_messages_a_channel_of_their_own(small):
    assert small.row("select count(*), count(distinct contact_id) from staging.stg_esp__contacts") == (10, 10)
    assert small.rows("select email, channel, status, changed_at from staging.stg_esp__consents where channel = 'sms'") == [
        ("buyer@example.com", "sms", "opted_out", None)
    ]
    assert small.row("select count(*), min(row_key) from intermediate.rejected_rows where source = 'mailchimp'")[0] == 1


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The sample of an audience on top of the shop."""
    folder = tmp_path_factory.mktemp("mailchimp_sample")
    sources = shared_data("sources")
    (folder / "raw").mkdir()
    (folder / "raw/mailchimp").symlink_to(sources / "mailchimp_csv")
    (folder / "raw/shopify").symlink_to(sources / "shopify_fivetran")
    variables = {"sources": ["shopify", "mailchimp"], "as_of_date": "2026-10-31", "business_time_zone": "Europe/Berlin"}
    path = folder / "lifecycle.duckdb"
    done = dbt("build", *NO_UNIT_TESTS, raw=folder / "raw", warehouse=path, variables=variables)
    assert "WARN" not in done.stdout.replace("WARN=0", ""), done.stdout[-4000:]
    opened = Warehouse(path)
    yield opened
    opened.connection.close()


def test_the_sample_is_right(sample, truth):
    assert sample.row("select count(*), count_if(can_email), count_if(can_sms) from marts.customers") == (
        truth["users_shop"],
        truth["can_email_with_mailchimp"],
        truth["can_sms_shopify"],
    )


def test_each_conflict_of_the_sample_is_decided(sample, truth):
    """Three said no after the shop's yes, two yes after the no, one yes after the shop's no."""
    assert len(truth["mailchimp_conflicts"]) == 3
    decided = dict(sample.rows("select email, can_email from marts.customers"))
    for what, addresses in truth["mailchimp_conflicts"].items():
        assert {address: decided[address] for address in addresses} == dict.fromkeys(addresses, not what.startswith("no "))
    assert sample.rows(
        "select email, blocked_reason from marts.customer_channels join marts.customers using (person_id) "
        "where channel = 'email' and email in ('cust004@example.com', 'cust006@example.com', 'cust011@example.com') order by 1"
    ) == [
        ("cust004@example.com", "no_consent"),
        ("cust006@example.com", "no_consent"),
        ("cust011@example.com", "complaint"),
    ]
