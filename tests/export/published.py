"""A small published database that fulfils the export's input contract (docs/export.md).

`build` is the one function that knows how it is made: to test against real marts, replace its body.
"""

import hashlib
import hmac
import re
from collections import Counter
from datetime import date, datetime

import duckdb
import phonenumbers

KEY = bytes.fromhex("ab" * 32)  # of the shop's state
OWN = ["opted_out", "unsubscribed", "complaint", "erased"]
SEVERITY = ["no_consent", "unsubscribed", "hard_bounce", "complaint", "erased"]
CHANNELS = ("email", "sms", "push", "ads")
AS_OF = date(2026, 11, 21)
CUSTOMERS = """person_id varchar, primary_customer_id varchar, email varchar, phone varchar, phone_e164 varchar, app_user_id varchar,
    first_name varchar, last_name varchar, country varchar, region varchar, city varchar, language varchar,
    postal_code varchar, birth_date date, gender varchar, time_zone varchar, stage varchar, stage_entered_at timestamp, clm_stage varchar, rfm_segment varchar,
    rfm_clm_stage varchar, r_score int, f_score int, m_score int, orders_count bigint, first_order_date date,
    last_order_date date, gross_revenue decimal(18,4), net_revenue decimal(18,4), last_activity_date date,
    is_active_30d boolean, recency_days int, is_customer boolean, is_repeat_customer boolean,
    is_loyal_customer boolean, can_email boolean, can_sms boolean, can_push boolean, can_ads boolean"""


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def keyed_hash(sha):
    """What the marts have of an erased address, given its SHA-256."""
    return hmac.new(KEY, sha.encode(), hashlib.sha256).hexdigest()


def e164(raw, country):
    """What the marts make of a phone that a record of this country has."""
    try:
        number = phonenumbers.parse((raw or "").replace("(0)", ""), country)
    except phonenumbers.NumberParseException:
        return None
    found = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    ok = phonenumbers.is_possible_number(number) and not number.extension and re.fullmatch(r"[+][1-9][0-9]{6,14}", found)
    return found if ok and not re.search("[0-9].*[A-Za-z]", raw) else None


def person(  # noqa: PLR0917
           person_id, email=None, phone=None, audiences=("at_risk",), consent=CHANNELS, blocked=None,
           is_holdout=False, consented_at=datetime(2026, 1, 2, 3, 4, 5), **columns):
    """One person. consent: the channels with an opt-in; blocked: {channel: blocked_reason}."""
    blocked = {channel: "no_consent" for channel in CHANNELS if channel not in consent} | (blocked or {})
    row = {
        "person_id": person_id, "primary_customer_id": f"c-{person_id}", "email": email, "phone": phone,
        "phone_e164": None, "app_user_id": None, "first_name": "Ann", "last_name": "Lee", "country": "US", "region": "CA",
        "city": "Oakland", "language": "en", "postal_code": "94612-1234", "birth_date": date(1980, 2, 29),
        "gender": "female", "time_zone": "America/Los_Angeles", "stage": "at_risk",
        "stage_entered_at": datetime(2026, 10, 1, 8, 30), "clm_stage": "reactivate", "rfm_segment": "champions",
        "rfm_clm_stage": "reward", "r_score": 5, "f_score": 4, "m_score": 3, "orders_count": 7,
        "first_order_date": date(2025, 1, 31), "last_order_date": date(2026, 8, 9), "gross_revenue": "120.5000",
        "net_revenue": "99.9000", "last_activity_date": date(2026, 9, 1), "is_active_30d": False, "recency_days": 104,
        "is_customer": True, "is_repeat_customer": True, "is_loyal_customer": True, **columns}
    row["phone_e164"] = e164(phone, row["country"])
    channels = {channel: (blocked.get(channel), consented_at) for channel in CHANNELS}
    row |= {f"can_{channel}": channel not in blocked for channel in CHANNELS}
    own = {channel: stronger(None, reason) for channel, reason in blocked.items() if reason != "hard_bounce"}
    return {"row": row, "channels": channels, "own": own, "audiences": audiences, "is_holdout": is_holdout}


def suppression(channel, address_type, address=None, reason="unsubscribed", sha=None):
    return (channel, address_type, address, keyed_hash(sha) if sha else None, reason, datetime(2026, 5, 6))


def judged(people, suppressions):
    """The people as the marts have them: who has an address that is on the list may not be contacted, and said so where nobody
    else has it.
    """
    people, hit, owners = list(people), {}, Counter()
    for one in people:
        owners.update(addresses(one["row"]))
    for channel, kind, address, hashed, reason, _ in suppressions:
        hit.setdefault((kind, address or hashed), []).append((channel, reason))
    for one in people:
        row, channels, own = {**one["row"]}, {**one["channels"]}, {**one["own"]}
        for address, on, reason in ((known, *pair) for known in addresses(row) for pair in hit.get(known, ())):
            for channel in CHANNELS if on is None else [on]:
                found = reason if reason in SEVERITY else "no_consent"
                now, at = channels[channel]
                if now is None or SEVERITY.index(found) > SEVERITY.index(now):
                    channels[channel] = (found, at)
                row[f"can_{channel}"] = False
                if owners[address] == 1 and found not in ("hard_bounce", "erased"):  # who was erased has it, too
                    own[channel] = stronger(own.get(channel), found)
        yield {**one, "row": row, "channels": channels, "own": own}


def stronger(one, other):
    """The stronger of two noes of one's own."""
    return max([no for no in (one, "opted_out" if other == "no_consent" else other) if no], key=OWN.index)


def addresses(row):
    """[(kind, address or its hash)] by which the list meets somebody."""
    known = [("email", row["email"]), ("user_id", row["app_user_id"]), *(("phone", form) for form in phone_forms(row["phone_e164"]))]
    return [(kind, form) for kind, address in known if address for form in (address, keyed_hash(sha256(address)))]


def phone_forms(number):
    """A number as a list may have it: with its country or without."""
    if not number:
        return []
    national = phonenumbers.national_significant_number(phonenumbers.parse(number))
    return [number, number[1:], national, "0" + national]


def build(path, people, suppressions=(), as_of=AS_OF, audiences=(), *, catalogue=(), facts=(), time_zone=None, sources=(),
          columns=None, agree=True):
    """Write the marts to path (replaced when there). agree: nobody on the list may be contacted. people: of `person`; audiences: (audience, person_id, ...) extra rows;
    facts: (person_id, next_product, simple_clv, loyalty_tier_until, first_name) of customer_campaign_facts; catalogue: (audience, channels[, priority]); sources: (source,
    table_name, staged_rows, days_behind) of source_tables; columns: {name: (type, values of the people)} that a project of one's own adds.
    """
    path.unlink(missing_ok=True)
    people = list(judged(people, suppressions)) if agree else people
    with duckdb.connect(str(path)) as con:
        con.execute(f"""create schema marts; use marts; create table customers ({CUSTOMERS});
            create table customer_channels (person_id varchar, channel varchar, can_contact boolean, consent_status varchar,
                consented_at timestamp, blocked_reason varchar, own_no_reason varchar);
            create table suppression_list (channel varchar, address_type varchar, address varchar, address_hash varchar,
                reason varchar, suppressed_at timestamp);
            create table audience_members (audience varchar, person_id varchar, entered_on date, is_holdout boolean,
                can_email boolean, can_sms boolean, can_push boolean, can_ads boolean, blocked_reason varchar);
            create table lifecycle_metrics (metric_date date)""")
        con.execute("insert into lifecycle_metrics values (?)", [as_of])
        if catalogue:
            con.execute("create table audience_summary (audience varchar, channels varchar, priority int)")
            fill(con, "audience_summary", [(*row, None)[:3] for row in catalogue])
        if time_zone:
            con.execute(f"create table build_settings as select '{time_zone}' as business_time_zone")
        if sources:
            con.execute("create table source_tables (source varchar, table_name varchar, staged_rows bigint, days_behind bigint)")
            fill(con, "source_tables", sources)
        if facts:
            con.execute("create table customer_campaign_facts (person_id varchar, next_product varchar, "
                        "simple_clv decimal(18,4), loyalty_tier_until date, first_name varchar)")
            fill(con, "customer_campaign_facts", facts)
        fill(con, "customers", [list(p["row"].values()) for p in people])
        for name, (kind, values) in (columns or {}).items():
            con.execute(f"alter table customers add column {name} {kind}")
            for one, value in zip(people, values, strict=True):
                con.execute(f"update customers set {name} = ?::{kind} where person_id = ?", [value, one["row"]["person_id"]])
        fill(con, "customer_channels", [
            (p["row"]["person_id"], channel, reason is None, "opted_out" if reason == "no_consent" else "opted_in",
             None if reason == "no_consent" else at, reason, p["own"].get(channel))
            for p in people for channel, (reason, at) in p["channels"].items()])
        fill(con, "suppression_list", suppressions)
        fill(con, "audience_members", [
            (audience, p["row"]["person_id"], date(2026, 11, 1), p["is_holdout"],
             *(p["row"][f"can_{channel}"] for channel in CHANNELS), None) for p in people for audience in p["audiences"]])
    return path


def fill(con, table, tuples):
    """Insert many tuples in one statement (executemany takes a millisecond a row)."""
    tuples = list(tuples)
    if tuples:
        marks = ", ".join(f"unnest(?::{row[1]}[])" for row in con.execute(f"describe {table}").fetchall())
        con.execute(f"insert into {table} select {marks}", [list(column) for column in zip(*tuples, strict=True)])


DEMO = [
    person("p01", "ann@example.com", "+16505551212", app_user_id="u1"),
    person("p02", "bob@example.com", "(415) 555-0134", first_name='Bob "Bo"', last_name="O'Neil, Jr.", app_user_id="u2"),
    person("p03", "zoé@example.com", "+33 6 12 34 56 78", first_name="Zoé 😀", last_name="Line\nBreak", country="FR"),
    person("p04", "cmd@example.com", "+491701234567", first_name="=cmd|'/C calc'!A0", last_name="정", country="DE"),
    person("p05", "hold@example.com", "+14155550100", is_holdout=True),
    person("p06", "no@example.com", "+14155550101", consent=()),
    person("p07", "bounce@example.com", "+14155550102", blocked={"email": "hard_bounce"}),
    person("p08", None, None),
    person("p09", None, None, stage="erased", blocked={channel: "erased" for channel in CHANNELS}),
    person("p10", "twin@example.com", "+14155550103"),
    person("p11", "twin@example.com", "+14155550104"),
    person("p12", "listed@example.com", "+14155550105"),
    person("p13", "returned@example.com", "+14155550106"),
    # who has it too said no, so the marts refuse the address
    person("p14", "shared@example.com", "+14155550107", consent=("sms", "push")),
    person("p15", "shared@example.com", "+14155550108", consent=("push",), audiences=()),
    person("p16", "lone@example.com", "+14155550109", audiences=("stage_new", "at_risk"), last_name=None,
           last_order_date=None, net_revenue="-5.2500", region="007", city="Saint-Étienne"),
    person("p17", "j.doe+shop@gmail.com", "+14155550110", app_user_id="u17", audiences=("champions",)),
]
DEMO_SUPPRESSIONS = [
    suppression("email", "email", "listed@example.com", "complaint"),
    suppression("ads", "phone", "+14155550105"),
    suppression("email", "email", None, "erased", sha256("returned@example.com")),
    suppression("sms", "phone", "+14155550106", "opted_out"),
    suppression("push", "user_id", "u1"),
    suppression("email", "email", "bounce@example.com", "hard_bounce"),
]
