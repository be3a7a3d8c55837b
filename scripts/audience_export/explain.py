"""Why somebody is, or is not, written: their audiences, the statement that decides on each channel, and what destinations were told.

Reads only. An address is never printed back.
Errors: Problem 2 when nobody has the id or address; 3 for marts that do not fulfil the contract.
"""

import os

from keyed_hash import hashed, use_key

from . import keys, rows
from .config import CHANNELS, CONTRACT, USAGE, Problem
from .ledger import LIVE

# By what a person may be asked for: an id of the marts, or an address that is used for them.
IDS = ["p.person_id", "p.primary_customer_id", "nullif(p.app_user_id, '')"]


def explain(con, state, who):
    """{"as_of_date", "people": [...], "listed": [...], "deliveries": [...]} of an id or address."""
    if con.execute("select 1 from duckdb_tables() where schema_name = 'marts' and table_name = 'noes_only'").fetchone():
        raise Problem(CONTRACT, "these marts know only who said no; give the published marts")
    fields = rows.check_contract(con)
    is_known = (state.root / "key").exists() or (state.root / "key.check").exists()
    use_key(con, state.key() if is_known else os.urandom(32))
    email, phone = keys.email_key("word"), f"coalesce({rows.plain_e164('word')}, word)"
    con.execute("create temp table asked as select trim(?) as word", [who])
    con.execute(f"create temp table asked_people as select person_id from {rows.PERSON}, asked "
                f"where word in ({', '.join(IDS)}) or {rows.KEY['email']} = {email} or p.phone_e164 = {phone}")
    con.execute(f"""create temp table own_keys as
        with shas as (from ({rows.address_shas("p.person_id in (select person_id from asked_people)")}))
        select {rows.address_hash('sha')} as k from (
            select unnest([email, phone, app_user_id, mailbox]) as sha from shas
            union select unnest([sha256(word), sha256({email}), sha256({keys.mailbox_key(email)}), sha256({phone})]) from asked)
        where sha is not null""")
    found = {"as_of_date": con.execute("select max(metric_date) from marts.lifecycle_metrics").fetchone()[0],
             "people": [_person(con, person_id, fields) for person_id, in con.execute("from asked_people order by all").fetchall()],
             "listed": _dicts(con, f"""select distinct coalesce(channel, 'all') as channel, reason, suppressed_at from marts.suppression_list
                where coalesce(address_hash, {hashed('address')}) in (select lower(hex(k)) from own_keys)
                    or (address_type = 'email' and {hashed(keys.mailbox_key('address'))} in (select lower(hex(k)) from own_keys))
                order by all"""),
             "deliveries": _deliveries(con, state.ledger)}
    if not any(found[part] for part in ("people", "listed", "deliveries")):
        raise Problem(USAGE, "explain: nobody in the marts has this id, or this address as the one that is used, and neither the "
                             "suppression list nor a delivery knows it; an address is given whole, a phone with its country (+49...)")
    return found


def _dicts(con, query, values=()):
    found = con.execute(query, values)
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _person(con, person_id, fields):
    """One person: stage and what to do with them, channels, audiences."""
    facts = [field for field in ("stage", "stage_entered_at", "rfm_segment", "orders_count", "last_order_date", "last_activity_date",
                                 "next_best_action", "next_best_channel", "why") if field in fields]
    join = "left join marts.customer_campaign_facts f using (person_id)" if any(fields[f][1].startswith("f.") for f in facts) else ""
    own = ", own_no_reason, decided_by, decided_at" if rows.has_column(con, "customer_channels", "decided_by") else ""
    rule = "s.rule" if rows.has_column(con, "audience_summary", "rule") else "null"
    summary = "left join marts.audience_summary s using (audience)" if rule != "null" else ""
    return {
        "person_id": person_id,
        "facts": _dicts(con, f"select {', '.join(f'{fields[f][1]} as {f}' for f in facts)} from {rows.PERSON} {join} where p.person_id = ?",
                        [person_id])[0],
        "channels": _dicts(con, f"select channel, can_contact, blocked_reason, consent_status, consented_at{own} from marts.customer_channels "
                                f"where person_id = ? order by list_position({list(CHANNELS)}, channel)", [person_id]),
        "audiences": _dicts(con, f"select m.audience, m.entered_on, m.is_holdout, {rule} as rule from marts.audience_members m {summary} "
                                 "where m.person_id = ? order by m.audience", [person_id])}


def _deliveries(con, ledger):
    """What was written, removed and suppressed, by delivery, audience ('' of suppressions) and header; values stay in the ledger."""
    found = []
    for name in dict.fromkeys(entry.name for entry in ledger.entries):
        rows.explicit_noes(con, ledger.of(name)[-1].node["channel"])
        for audience in [*ledger.audiences(name), ""]:
            for sign, view in (("plus", "all_rows"), ("minus", "minus_ops"), ("refused", "refused_ops")):
                ledger.table(con, name, audience, sign, view=view)
            hashes = [hash_ for n in range(ledger.width(name)) for hash_ in (ledger.address_hash(name, n), f"m{n}")]
            con.execute("create or replace temp table mine as select * from all_rows where person_id in (from asked_people) or "
                        + " or ".join(f"{hash_} in (from own_keys)" for hash_ in hashes))
            ledger.held(con, name, audience, "mine")
            con.execute(f"""create or replace temp table own_held as select row_number() over (order by header, value) as n, * from
                (from held semi join ({ledger.keys(name, "mine", "")}) using (header, value))""")
            found += [{"delivery": name, "audience": audience or None, **key, "events": _events(con, ledger, name, key.pop("n"))}
                      for key in _dicts(con, "select n, header, surely, may_be from own_held order by n")]
            forgotten = con.execute("select count(*) from mine where " + " and ".join(f"i{n} is null" for n in range(ledger.width(name)))).fetchone()[0]
            if forgotten:
                found.append({"delivery": name, "audience": audience or None, "header": None, "surely": False, "may_be": False, "events": []})
    return found


def _events(con, ledger, name, n):
    """The operations of the n-th key of `own_held`, in their order."""
    return _dicts(con, f"""
        with key as (select header, value from own_held where n = {n}),
        done as (
            select run, 'plus' as sign, reason from ({ledger.keys(name, "mine", "run, reason")}) join key using (header, value)
            union select run, 'minus', null from minus_ops join key using (header, value)),
        refusals as (select distinct run, sign from refused_ops join key using (header, value))
        select runs.published_at, done.run, done.sign, max(done.reason) as reason,
            case when bool_or(refusals.run is not null) then 'refused' when max(runs.acked) > 0 then 'acknowledged'
                when max(runs.died) = {LIVE} then 'waiting' else 'withdrawn' end as state
        from done join runs using (run) left join refusals on refusals.run = done.run and refusals.sign = done.sign
        group by runs.published_at, runs.seq, done.run, done.sign order by runs.seq, done.sign""")


# ---- for people ----

def report(found):
    """The same as text."""
    lines = [f"as of {found['as_of_date']}"]
    for person in found["people"]:
        lines += ["", f"person {person['person_id']}", *(f"  {name.replace('_', ' ')}: {_shown(value)}"
                                                         for name, value in person["facts"].items() if value is not None)]
        lines += ["", "  channels", *(f"    {channel['channel']:<6} {_channel(channel)}" for channel in person["channels"])]
        lines += ["", "  audiences" if person["audiences"] else "  in no audience"]
        lines += [f"    {one['audience']}, since {one['entered_on']}{', held out: never written for it' * one['is_holdout']}"
                  + (f"\n      {one['rule']}" if one["rule"] else "") for one in person["audiences"]]
    if not found["people"]:
        lines += ["", "nobody in the marts has this id, or this address as the one that is used"]
    if found["listed"]:
        lines += ["", "on the suppression list",
                  *(f"  {one['channel']:<6} {one['reason']}" + (f", {_shown(one['suppressed_at'])}" if one["suppressed_at"] else "") for one in found["listed"])]
    lines += ["", "deliveries" if found["deliveries"] else "never written to any destination"]
    for one in found["deliveries"]:
        lines.append(f"  {one['delivery']}, {one['audience'] or 'who said no'}" + (f", {one['header']}: " if one["header"] else ": ") + _state(one))
        lines += [f"    {_shown(event['published_at'])} UTC  {_deed(one, event):<10} {event['run']}, {event['state']}" for event in one["events"]]
    return "\n".join(lines)


def _shown(value):
    return str(value)[:16] if hasattr(value, "hour") else str(value)


def _channel(channel):
    said, when = channel.get("decided_by", channel["consent_status"]), channel.get("decided_at", channel["consented_at"])
    said = f"{said}, {_shown(when)}" if said and when else said or "nothing was said"
    if channel["can_contact"]:
        return f"yes: {said}"
    others = channel.get("decided_by") in ("erased", "complaint", "unsubscribed", "opted_out") and channel.get("own_no_reason") is None
    is_all = channel["blocked_reason"] in (channel.get("decided_by"), "no_consent")
    return f"no: {said if is_all else channel['blocked_reason'] + f' ({said})'}" + ", said by somebody who shares the address" * others


def _state(one):
    if not one["header"]:
        return "was written, and is forgotten since the erasure was told"
    if one["audience"] is None:
        return "told" if one["surely"] else "perhaps told" if one["may_be"] else "lifted"
    return "there" if one["surely"] else "may be there" if one["may_be"] else "not there"


def _deed(one, event):
    if one["audience"] is None:
        return (event["reason"] or "suppressed") if event["sign"] == "plus" else "lifted"
    return "written" if event["sign"] == "plus" else "removed"
