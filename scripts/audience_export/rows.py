"""The SQL of the export: contract, identifiers, consent, the one statement per file, the suppression list.

Everything here runs in DuckDB on the published marts (schema `marts`); Python only composes text, and values that
people typed never enter that text. Hashes are lower-case hex SHA-256 of UTF-8; phones are E.164; times are UTC.
Normalisation and vectors follow the vendors' import documentation, gathered 2026-11.

codes.csv beside this file says how countries (ISO 3166-1: names and codes; CLDR 48: names in the countries' own
languages and six of Europe's), states of the USA (ISO 3166-2) and sexes are written, and by which code vendors know them.
"""

import math
import re
from pathlib import Path

import duckdb

from common import quoted as literal
from keyed_hash import hashed, hmac_sql

from . import keys
from .config import CHANNELS, CONTRACT, UNEXPECTED, USAGE, Problem, alike

NUMBER = r"U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|DECIMAL\(\d+,\d+\)|DOUBLE|FLOAT"
TIME, TIMED = r"TIMESTAMP[ A-Z_]*", r"DATE|TIMESTAMP[ A-Z_]*"
E164 = r"\+[1-9][0-9]{6,14}"
MARTS = {  # {mart: {type, as a regular expression: columns}}
    "customers": {
        "VARCHAR": "person_id primary_customer_id email phone phone_e164 app_user_id first_name last_name country region city "
                   "language time_zone stage clm_stage rfm_segment rfm_clm_stage",
        NUMBER: "r_score f_score m_score orders_count gross_revenue net_revenue recency_days",
        "DATE": "first_order_date last_order_date last_activity_date", TIME: "stage_entered_at",
        "BOOLEAN": "is_active_30d is_customer is_repeat_customer is_loyal_customer "
                   "can_email can_sms can_push can_ads"},
    "customer_channels": {"VARCHAR": "person_id channel consent_status blocked_reason", "BOOLEAN": "can_contact",
                          TIME: "consented_at"},
    "suppression_list": {"VARCHAR": "channel address_type address address_hash reason", TIME: "suppressed_at"},
    "audience_members": {"VARCHAR": "audience person_id blocked_reason", "DATE": "entered_on",
                         "BOOLEAN": "is_holdout can_email can_sms can_push can_ads"},
    "lifecycle_metrics": {"DATE": "metric_date"},
    # these may be absent: more fields, the channels that audiences were made for, the marts' time zone, how fresh
    # the consents are
    "customer_campaign_facts": {}, "audience_summary": {}, "build_settings": {}, "source_tables": {},
}
BROKEN = {  # a row of the query breaks the contract
    "audience_members has a row without person_id":
        "from marts.audience_members where person_id is null",
    "audience_members has an audience name with more than letters, digits, _ and -":
        "from (select distinct audience as name from marts.audience_members) "
        "where not coalesce(regexp_full_match(name, '[A-Za-z0-9_-]{1,100}'), false)",
    "suppression_list has an unknown address_type, or a row with neither address nor hash":
        "from marts.suppression_list where coalesce(address_type, '') not in ('email', 'phone', 'user_id') "
        "or coalesce(address, address_hash) is null",
    "suppression_list has a row without address whose address_hash is no hash":
        "from marts.suppression_list where address is null "
        "and not regexp_full_match(address_hash, '[0-9a-f]{64}')",
    "customers.phone_e164 has a phone that is not in international form":
        f"from marts.customers where not regexp_full_match(phone_e164, '{E164}')",
    "lifecycle_metrics is empty": "select 1 where (select max(metric_date) from marts.lifecycle_metrics) is null",
}
# Fields besides the columns of customers and customer_campaign_facts: (DuckDB type, SQL).
OTHER_FIELDS = {"audience": ("VARCHAR", "m.audience"), "entered_on": ("DATE", "m.entered_on"),
                "consented_at": ("TIMESTAMP", "c.consented_at")}
# In order of severity: what is further right wins.
BLOCKS = ["no_consent", "unsubscribed", "hard_bounce", "complaint", "erased"]
# trim() and \s know ASCII only: NBSP, zero-width characters and BOM have to be named.
BLANKS = "".join(map(chr, [*range(9, 14), 32, 0x85, 0xA0, 0x1680, *range(0x2000, 0x2010), 0x2028, 0x2029, 0x202F,
                           0x205F, 0x2060, 0x3000, 0xFEFF]))
EMAIL = (r"[^\s@\"(),:;<>\[\]\\" + BLANKS +
         r"]{1,64}@[\p{L}\p{N}_-]+([.][\p{L}\p{N}_-]+)*[.][\p{L}\p{N}-]{2,}")
# For speed: what nearly all addresses look like needs neither normalising nor a closer look.
PLAIN_EMAIL = "[a-z0-9][a-z0-9._%+-]{0,63}@([a-z0-9-]+[.])+[a-z]{2,}"
REFUSED = {  # what free text may not be, where a destination says so; a match withholds the value
    "formula": f"^[{BLANKS}]*[=+@\\x{{FF1D}}\\x{{FF0B}}\\x{{FF0D}}\\x{{FF20}}-]|^[\\t\\r\\n]",
    "line_break": r"[\n\r\x{85}\x{2028}\x{2029}]",
    "leading_zero": r"^0[0-9]+$",
    "emoji": r"[\x{1F000}-\x{1FAFF}\x{2300}-\x{23FF}\x{2600}-\x{27BF}\x{2B00}-\x{2BFF}\x{200D}\x{20E3}\x{FE0F}]",
    "local_part_not_ascii": r"^[^@]*[^\x00-\x7F@][^@]*@",
}
ALREADY = "f1904cf1a9d73a55fa5de0ac823c4403ded71afd4c3248d00bdcd0866552bb79"
VECTORS = [  # normaliser, input, normalised, SHA-256 as Meta and Google publish it ("": not; None: none may be made)
    ("email", " John_Smith@gmail.com ", "john_smith@gmail.com",
     "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"),
    ("email", "mary@example.com", "mary@example.com", ALREADY),
    ("digits", "+1 (650) 555-1212", "16505551212",
     "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"),
    ("name", "Valéry", "valéry", "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c"),
    ("name", "Vale\u0301ry", "valéry", "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c"),
    ("bare_name", " Vale\u0301ry ", "valéry", "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c"),
    ("bare_name", "정", "정", "8fa8cd9c440be61d0151429310034083132b35975c4bea67fdd74158eb51db14"),
    ("name", "정", "정", "8fa8cd9c440be61d0151429310034083132b35975c4bea67fdd74158eb51db14"),
    ("lower", "us", "us", "79adb2a2fce5c6ba215fe5f27f532d4e7edbac4b6a5e09e1ef3a08084a904621"),
    ("gmail", "  ALEXZ@example.com   ", "alexz@example.com",
     "509e933019bb285a134a9334b8bb679dff79d0ce023d529af4bd744d47b4fd8a"),
    ("e164", "+1-800-555-0100   ", "+18005550100",
     "fb4f73a6ec5fdb7077d564cdd22c3554b43ce49168550c3b12c547b78c517b30"),
    ("name", "GivenName", "givenname", "128a07bfe2df877c52076e60d7774cf5baaa046c5a6c48daf30ff43ecca2f814"),
    ("gmail", "Cloudy.SanFrancisco+shopping@googlemail.com", "cloudysanfrancisco@googlemail.com", ""),
    ("gmail", "user.name+NYC@Example.com", "user.name+nyc@example.com", ""),
    ("name", "", None, None),
    ("name", ALREADY, ALREADY, None),
]


# ---- text and identifiers ----

def quoted(name):
    """An SQL identifier."""
    return '"' + str(name).replace('"', '""') + '"'


def normalised(kind, sql, country="null::varchar"):
    """The SQL expression that normalises the text expression sql; empty becomes null. country: that of the person, as
    the marts have it; only zip and state ask for it.
    """
    stripped = f"regexp_replace({sql}, '^[{BLANKS}]+|[{BLANKS}]+$', '', 'g')"
    email = f"case when regexp_full_match({sql}, '{PLAIN_EMAIL}') then {sql} else {keys.written_email(sql)} end"
    composed, letters = f"nfc_normalize({sql})", r"[^\p{L}\p{M}]"  # an e and its accent are one letter to all who match
    form = {
        "email": email,
        # Only these two domains ignore dots and +suffix; elsewhere j.doe and jdoe are two people.
        "gmail": f"case when regexp_matches({email}, '@(gmail|googlemail)[.]com$') then replace(split_part("
                 f"split_part({email}, '@', 1), '+', 1), '.', '') || '@' || split_part({email}, '@', 2) "
                 f"else {email} end",
        "e164": plain_e164(sql), "digits": f"ltrim({plain_e164(sql)}, '+')", "text": sql,
        "lower": f"lower({stripped})", "upper": f"upper({stripped})", "name": f"lower(nfc_normalize({stripped}))",
        "bare_name": f"trim(regexp_replace(regexp_replace(regexp_replace(lower({composed}), '[\\s\\p{{Z}}]', ' ', 'g'), "
                     "'[\\p{P}\\p{S}\\p{C}]', '', 'g'), ' +', ' ', 'g'))",
        "letters": f"regexp_replace(lower({composed}), '{letters}', '', 'g')",
    }
    if kind in form:
        return f"nullif({form[kind]}, '')"
    if kind in ("country", "gender"):
        return code(kind, sql)
    america = f"coalesce({code('country', country)} = 'US'"
    if kind == "state":
        return f"case when {america}, true) then coalesce(lower({code('us_state', sql)}), {normalised('letters', sql)}) " \
               f"else {normalised('letters', sql)} end"
    bare = f"nullif(regexp_replace(lower({composed}), '[^\\p{{L}}\\p{{M}}\\p{{N}}]', '', 'g'), '')"
    # a number loses the zeros that ZIP codes of New England begin with
    return f"case when {america}, regexp_full_match({stripped}, '[0-9]{{5}}-[0-9]{{4}}')) then left(if(" \
           f"regexp_full_match({bare}, '[0-9]{{3,4}}'), lpad({bare}, 5, '0'), {bare}), 5) else {bare} end"


def code(kind, sql):
    """The code of codes.csv by which vendors know a country, state or sex, however it is written; null when unknown."""
    return f"(select max(code) from codes where kind = '{kind}' and name = {word(sql)})"


def read_other_domains(con):
    """Create `other_domains` (person_id, email_key): whose domain may be spelled in two ways, as people read it and as the DNS does."""
    con.execute(f"""create temp table other_domains as select person_id, {keys.email_key('email')} as email_key
        from (select person_id, {ADDRESS['email']} as email from {PERSON}
              where strlen(p.email) <> length(p.email) or contains(lower(p.email), '@xn--') or contains(lower(p.email), '.xn--'))""")


def word(sql):
    """A name as it is looked up: without accents, dots, dashes and capitals."""
    return (f"trim(regexp_replace(regexp_replace(lower(strip_accents({sql})), '[''.`\\x{{2019}}\\x{{B4}}]', '', 'g'), "
            "'[\\p{P}\\p{S}\\p{Z}\\p{C}]+', ' ', 'g'))")


def plain_e164(sql):
    """E.164 of a phone that is international already, whatever its punctuation; null for all others.

    `+44 (0)20 …` is none: dropping the brackets would keep a zero that must not be dialled from abroad.
    """
    bare = f"regexp_replace({sql}, '[{BLANKS}().\\-/]', '', 'g')"
    return (f"case when regexp_full_match({sql}, '{E164}') then {sql} "
            f"when not contains({sql}, '(0)') and regexp_full_match({bare}, '{E164}') then {bare} end")


def is_hash(sql):
    """Whether a text is a SHA-256 already; such is never hashed again."""
    return f"(strlen({sql}) = 64 and regexp_full_match(lower({sql}), '[0-9a-f]+'))"


def breaks(rule, sql):
    """The condition that a text breaks a rule of REFUSED."""
    broken = f"regexp_matches({sql}, {literal(REFUSED[rule])})"
    # Nearly every text begins with a letter, A to U+0084, and then is no formula: look no further.
    return f"({sql} < 'A' or {sql} >= chr(133)) and {broken}" if rule == "formula" else broken


def self_test(con):
    """Recompute the published vectors with the very expressions of the export; Problem when one differs."""
    for kind, raw, clean, digest in VECTORS:
        got = con.execute(f"select n, if({is_hash('n')}, null, sha256(n)) from (select {normalised(kind, 'v')} as n "
                          "from (select ?::varchar as v))", [raw]).fetchone()
        if got[0] != clean or digest not in ("", got[1]):
            raise Problem(UNEXPECTED, f"self-test: a published '{kind}' vector does not come out; nothing is hashed")


def read_codes(con):
    """Create `codes`: by which code vendors know a country, a state of the USA, a sex."""
    path = Path(__file__).with_name("codes.csv")
    con.execute(f"create temp table codes as select distinct kind, {word('name')} as name, code from read_csv("
                f"{literal(path)}, columns = {{kind: 'varchar', name: 'varchar', code: 'varchar'}}, header = true)")


def load_ages(con, now):
    """[(source, table, hours since it was last loaded)] of where people say no; [] where the marts do not say it."""
    try:
        found = con.execute("select source, table_name, loaded_at from marts.source_tables where loaded_at is not null and says_no order by all").fetchall()
    except (duckdb.CatalogException, duckdb.BinderException):
        return []
    return [(source, table, (now.replace(tzinfo=None) - loaded_at).total_seconds() / 3600) for source, table, loaded_at in found]


def consent_ages(con):
    """[(source, days between its newest consent and the day that the marts describe, how many were to be expected in
    them)]; [] without source_tables. A small list is silent for weeks, a large one never: by its pace in the 90 days
    before.
    """
    try:
        return con.execute("""
            with newest as (select max(consented_at) as newest_at from marts.customer_channels),
            pace as (select count(distinct consented_at) / 90 as a_day from marts.customer_channels, newest
                     where consented_at > newest_at - interval 90 days)
            select source, days_behind, floor(a_day * days_behind * staged_rows / sum(staged_rows) over ())::bigint
            from marts.source_tables, pace where table_name = 'consents' and days_behind is not null""").fetchall()
    except (duckdb.CatalogException, duckdb.BinderException):
        return []


def catalogue(con):
    """{audience: the channels it was made for, as "email, sms"}, also of empty ones; {} without an audience_summary."""
    try:
        return dict(con.execute("select audience, channels from marts.audience_summary").fetchall())
    except (duckdb.CatalogException, duckdb.BinderException):
        return {}


def priorities(con):
    """{audience: the priority of its play in the playbook, 1 first}, of those that have one; None where the marts do not say it."""
    if not has_column(con, "audience_summary", "priority"):
        return None
    return dict(con.execute("select audience, priority from marts.audience_summary where priority is not null").fetchall())


def set_time_zone(con):
    """Set the variable `time_zone`, in which the marts tell the time: UTC without build_settings. Files are in UTC."""
    try:
        row = con.execute("select business_time_zone from marts.build_settings").fetchone()
    except (duckdb.CatalogException, duckdb.BinderException):
        row = None
    con.execute(f"set variable time_zone = {literal(row[0] if row else 'UTC')}")


def in_utc(kind, sql):
    """A value of the marts as files have it: times in UTC instead of the marts' time zone."""
    return f"timezone('UTC', timezone(getvariable('time_zone'), {sql}))" if kind == "TIMESTAMP" else sql


def has_column(con, mart, column):
    """Whether a mart has a column that it may lack."""
    return con.execute("select 1 from duckdb_columns() where schema_name = 'marts' and table_name = ? and column_name = ?",
                       [mart, column]).fetchone() is not None


def check_contract(con):
    """Hold the marts against what the export reads. Problem 3 with all that is wrong.

    Returns {field: (DuckDB type, its SQL in main_statement)}.
    """
    problems, fields = [], {}
    for mart, kinds in MARTS.items():
        found = dict(con.execute("select column_name, data_type from duckdb_columns() where schema_name = 'marts' "
                                 "and table_name = ?", [mart]).fetchall())
        alias = {"customers": "p", "customer_campaign_facts": "f"}.get(mart)
        if alias:
            fields = {column: (kind, f"{alias}.{quoted(column)}") for column, kind in found.items()} | fields
        problems += [f"{mart}.{column} is {found.get(column, 'missing')}" for kind, columns in kinds.items()
                     for column in columns.split() if not re.fullmatch(kind, found.get(column, ""))]
    if not problems:
        problems = [text for text, query in BROKEN.items() if con.execute(f"from ({query}) limit 1").fetchone()]
    if problems:
        raise Problem(CONTRACT, f"the marts do not fulfil the contract: {'; '.join(problems)}; rebuild and publish")
    return fields | OTHER_FIELDS


# ---- consent ----

# The person `p` of a query, and addresses as they are written.
PERSON = "marts.customers p"
ADDRESS = {"email": normalised("email", "p.email"), "phone": "p.phone_e164", "app_user_id": "nullif(p.app_user_id, '')"}
TYPES = {"email": "email", "phone": "phone", "app_user_id": "user_id"}
# By what each address is compared with each kind of blocking value, made of its key in the marts. A number that was listed
# without its country is met by every number that has it behind its calling code.
NATIONAL = [keys.national_number("key"), f"'0' || {keys.national_number('key')}", "substr(key, 2)"]
KEY = {"email": f"case when regexp_full_match(p.email, '{PLAIN_EMAIL}') then p.email else {keys.email_key('p.email')} end",
       "phone": ADDRESS["phone"], "app_user_id": ADDRESS["app_user_id"]}
PROBES = {
    "email": [("email", "key"), ("email_hash", hashed("key")), ("mailbox", keys.mailbox_key("key"))],
    "app_user_id": [("user_id", "key"), ("user_id_hash", hashed("key"))],
    "phone": [("phone", "key"), ("phone_hash", hashed("key")), *((kind, form) for form in NATIONAL for kind in ("national", "phone_no")),
              *(("phone_hash", hashed(form)) for form in NATIONAL)],
}


def _rank(sql):
    """The severity of a reason: 5 erased … 1 anything that is not known."""
    return f"coalesce(nullif(list_position({BLOCKS}, {sql}), 0), 1)"


def contact(con, channel):
    """Create (once) the table of how each person stands on a channel: (person_id, consented_at, rank, said).

    rank: the severity of the person's own state, 0 only with consent, and nothing against it; said: the reason of an
    explicit no of their own, that is neither about an address alone nor somebody else's who shares one. Marts that cannot
    tell count every no. Returns the table's name; Problem 3 when a person has two rows.
    """
    table = f"contact_{channel}"
    own = """case when ch.blocked_reason in ('unsubscribed', 'complaint', 'erased') then ch.blocked_reason
        when ch.consent_status = 'opted_out' and coalesce(ch.blocked_reason, 'no_consent') <> 'hard_bounce' then 'opted_out' end"""
    if has_column(con, "customer_channels", "own_no_reason"):
        own = "ch.own_no_reason"
    con.execute(f"""create temp table if not exists {table} as
        select p.person_id, ch.consented_at, (case when p.stage = 'erased' then 5
            when ch.can_contact and ch.consent_status = 'opted_in' and ch.blocked_reason is null and p.can_{channel} then 0
            else {_rank('ch.blocked_reason')} end)::utinyint as rank,
            case when p.stage = 'erased' then 'erased' else {own} end as said
        from marts.customers p
        left join marts.customer_channels ch on ch.person_id = p.person_id and ch.channel = '{channel}'""")
    one_each = f"select (select count(*) from {table}) = (select count(*) from marts.customers)"
    if not con.execute(one_each).fetchone()[0]:
        raise Problem(CONTRACT, f"customer_channels has several rows for one person on {channel}; rebuild the marts")
    return table


def listed(con, channel):
    """Create (once) whose addresses are on the list of a channel, themselves or their hashes: (person_id, and of each address of
    the channel the severity). Returns the table's name.
    """
    table = f"listed_{channel}"
    if con.execute("select 1 from duckdb_tables() where temporary and table_name = ?", [table]).fetchone():
        return table
    # only the marts know of a later yes to the number with its country
    followed = "address_type = 'phone' and reason = 'opted_out'"
    con.execute(f"""create or replace temp table blocking as
        with listed as (select *, {_rank('reason')} as rank from marts.suppression_list
                        where channel = '{channel}' or channel is null)
        select kind, value, max(rank)::utinyint as rank from (
            select case when address_type <> 'phone' or starts_with(address, '+') then address_type
                when {followed} then 'phone_no' else 'national' end as kind, address as value, rank from listed
            union all select address_type || '_hash', address_hash, rank from listed where address is null
            union all select 'mailbox', {keys.mailbox_key('address')}, rank from listed where address_type = 'email' and {keys.is_aliased('address')})
        where value <> '' group by all""")
    kinds = {row[0] for row in con.execute("select distinct kind from blocking").fetchall()}
    meets = []
    for n, field in enumerate(CHANNELS[channel]):
        probes = [(kind, form) for kind, form in PROBES[field] if kind in kinds and (kind != "phone_no" or n > 0)]
        joins = " ".join(f"left join blocking b{i} on b{i}.kind = '{kind}' and b{i}.value = {form}" for i, (kind, form) in enumerate(probes))
        ranks = ", ".join(f"b{i}.rank" for i in range(len(probes))) or "null"
        meets.append(f"select person_id, '{field}' as field, greatest({ranks}, 0) as rank from (select person_id, {KEY[field]} as key from {PERSON}) "
                     f"{joins} where coalesce({ranks}) is not null")
    ranks = ", ".join(f"coalesce(max(rank) filter (where field = '{field}'), 0)::utinyint as {field}" for field in CHANNELS[channel])
    con.execute(f"create temp table {table} as select person_id, {ranks} from ({' union all '.join(meets)}) group by person_id")
    return table


# ---- the one statement per file ----

def shown(kind, sql, form):
    """A value that is no text, as people write it. form: of dates and times.

    Marts keep money with four decimals; people write two: 12.3400 is 12.34, but 12.3456 stays what it is.
    """
    if re.fullmatch(TIMED, kind):
        return f"strftime({sql}, {literal(form)})"
    if kind in ("DOUBLE", "FLOAT"):
        return plain_decimal(sql if kind == "DOUBLE" else f"({sql})::varchar::double")
    decimal = re.fullmatch(r"DECIMAL\((\d+),([3-9]|\d\d)\)", kind)
    if not decimal:
        return f"({sql})::varchar"
    short = f"({sql})::decimal({decimal[1]}, 2)"
    return f"if({sql} = {short}, {short}::varchar, ({sql})::varchar)"


def plain_decimal(sql):
    """A double as text: its 15 true digits (0.1 + 0.2 is 0.3), and zeros instead of an exponent."""
    text, long = f"format('{{:.15g}}', {sql} + 0)", f"format('{{:.14e}}', {sql})"  # -0.0 + 0 is 0
    digits, power = f"regexp_replace({long}, '[-.]|e.*', '', 'g')", f"split_part({long}, 'e', 2)::int"
    return (f"if(contains({text}, 'e'), if({sql} < 0, '-', '') || if({power} > 0, {digits} || "
            f"repeat('0', {power} - 14), '0.' || repeat('0', -{power} - 1) || rtrim({digits}, '0')), {text})")


def _column_sql(delivery, column, known, safe):
    """How a column is made: (value over `hashed`, {refused rule: condition on VALUE}, what is written of VALUE)."""
    field = column.field
    if field is None:
        return _constant_sql(delivery, column), {}, "VALUE"
    if field not in known:
        raise Problem(USAGE, f"deliveries.{delivery.name}.fields: there is no column '{field}' in customers or "
                             f"customer_campaign_facts{alike(field, known)}")
    kind, sql = known[field][0], field if field in ADDRESS else f"f_{field}"
    owner = {"email": "email", "phone": "sms"}.get(field)
    if owner and field not in CHANNELS[delivery.channel]:
        # A phone beside an e-mail address is another way to reach the person: only with that channel's consent.
        sql = f"if(can_{owner} and listed_{owner}_{field} = 0, {field}, null)"
    elif field in CHANNELS[delivery.channel][1:]:
        sql = f"if(listed_{delivery.channel}_{field} = 0, {field}, null)"
    if re.fullmatch(r"ENUM\(.*\)|UUID", kind):
        kind, sql = "VARCHAR", f"({sql})::varchar"
    rules, as_text = {}, delivery.hashes(column) or delivery.kinds(field)
    if kind != "VARCHAR":
        sql = _other_sql(delivery, field, kind, sql, as_text=as_text)
    if kind == "VARCHAR" or as_text:
        sql, rules, written = _text_sql(delivery, column, sql, safe)
    else:
        written = "VALUE"
    if delivery.required(column):
        rules["missing"] = "VALUE is null"
    if field == delivery.merging():
        rules["shared_phone"] = "VALUE is not null and phone in (from shared_phones)"
    return sql, rules, written


def _text_sql(delivery, column, raw, safe):
    """Of a text: the same as _column_sql."""
    spec, field, kinds, sql = delivery.spec, column.field, delivery.kinds(column.field), raw
    rules, written = {}, "VALUE"
    if field == "phone":
        sql = f"ltrim({raw}, '+')" if kinds == ["digits"] else raw
    else:
        for name in kinds or ["text"]:
            sql = normalised(name, sql, "f_country")
    if kinds[:1] == ["country"]:
        rules["not_a_country"] = f"VALUE is null and trim({raw}) <> ''"
    if delivery.hashes(column):
        rules |= {} if field in ADDRESS else {"already_hashed": is_hash("VALUE")}
        plain = not delivery.salt and not kinds and field in ("email", "phone")
        written = f"{field}_sha256" if plain else "sha256(getvariable('salt') || VALUE)"
    elif field != "phone":
        rules |= {rule: breaks(rule, "VALUE") for rule in delivery.refused(column)}
        if safe and field not in ADDRESS and not column.identifier and rules.pop("formula", None):
            written = f"if({breaks('formula', 'VALUE')}, '''' || VALUE, VALUE)"
        if "text_bytes" in spec:
            rules["too_long"] = f"strlen(VALUE) > {spec['text_bytes']}"
    if field == "email":
        valid = f"plain_email or regexp_full_match(VALUE, {literal(EMAIL)})"
        rules["not_an_email"] = f"strlen(VALUE) > 254 or not ({valid})"
    return sql, rules, written


def _constant_sql(delivery, column):
    """A column with one value; JSON within a payload is no text there."""
    value = column.constant
    nested = bool(value and delivery.payload and not column.identifier and value[0] in "[{")
    return "null::varchar" if value is None else literal(value) + "::json" * nested


def _other_sql(delivery, field, kind, sql, *, as_text):
    """A value that is no text in the marts, as the file takes it: typed where the format has types that say it all."""
    if not re.fullmatch(f"{NUMBER}|{TIMED}|BOOLEAN", kind):
        raise Problem(USAGE, f"deliveries.{delivery.name}.fields: '{field}' is {kind}, which no file can hold")
    if re.fullmatch(f"{TIMED}|DOUBLE|FLOAT", kind):
        sql = f"if(isfinite({sql}), {sql}, null)"
    text, timed = shown(kind, sql, delivery.time_form(kind, field)), re.fullmatch(TIMED, kind)
    if as_text or (delivery.spec["format"] == "csv" and not delivery.payload):
        return text
    if delivery.payload and re.fullmatch(r"DECIMAL\(.*|DOUBLE|FLOAT", kind):
        return f"({text})::json"  # a number, but as people write it
    return text if timed and delivery.spec["format"] != "parquet" else sql


def main_statement(delivery, audience, known, lists, safe):
    """The one SELECT of a file: every member of the audience with the reason that keeps it out (null: written),
    c0 … cn as written, and `withheld`, the "n:rule" of values the destination does not take. No row is lost: the
    waterfall adds up. known: of `check_contract`. lists: {channel: table} of `listed`, of the delivery's channel and of addresses
    beside it.
    """
    channel, columns = delivery.channel, [_column_sql(delivery, column, known, safe) for column in delivery.columns]
    fields = {column.field for column in delivery.columns if column.field and column.field not in ADDRESS}
    placed = any({"zip", "state"} & {*delivery.kinds(field)} for field in fields)
    fields = sorted(fields | ({"country"} if placed else set()))
    raw = "".join(f", {in_utc(*known[field])} as f_{field}" for field in fields)
    more = "".join(f" left join {table} {alias} on {alias}.person_id = m.person_id"
                   for alias, table in (("c", f"contact_{channel}"), ("f", "marts.customer_campaign_facts"))
                   if any(known[field][1].startswith(f"{alias}.") for field in fields))
    joins = "".join(f" left join {table} on {table}.person_id = m.person_id" for table in lists.values())
    elsewhere = "false"
    if delivery.given.get("one_per_person"):
        elsewhere = "coalesce(first_choices.audience <> m.audience, false)"
        joins += " left join first_choices on first_choices.person_id = m.person_id"
    ranks = "".join(f", coalesce({table}.{field}, 0) as listed_{name}_{field}" for name, table in lists.items() for field in CHANNELS[name])
    bad, written = [], []
    for i, (_, rules, form) in enumerate(columns):
        whens = " ".join(f"when {rule} then '{i}:{name}'" for name, rule in rules.items()).replace("VALUE", f"v{i}")
        bad += [f"case {whens} end as b{i}"] * bool(rules)
        written.append(f"if(b{i} is null, {form}, null) as c{i}".replace("VALUE", f"v{i}") if rules else
                       f"{form} as c{i}".replace("VALUE", f"v{i}"))
    ids = [i for i, column in enumerate(delivery.columns) if column.identifier]
    lacking = "".join(f" or c{i} is null" for i, (_, rules, _) in enumerate(columns) if "missing" in rules)

    def each(form, numbers=None):
        return ", ".join(form.replace("#", str(i)) for i in (range(len(columns)) if numbers is None else numbers))

    marks = each("b#", [i for i, (_, rules, _) in enumerate(columns) if rules]) or "null::varchar"
    return f"""
        with member as (
            select m.person_id, p.person_id is null as unknown, p.can_email, p.can_sms {raw}{ranks},
                regexp_full_match(p.email, '{PLAIN_EMAIL}') as plain_email,
                m.is_holdout is distinct from false as held_out, {elsewhere} as is_elsewhere,
                greatest(if(m.can_{channel}, 0, 1), no.rank)::utinyint as rank, {', '.join(f'{sql} as {name}' for name, sql in ADDRESS.items())}
            from marts.audience_members m left join ({PERSON}) on p.person_id = m.person_id
            left join (from contact_{channel} where rank > 0) no on no.person_id = m.person_id{joins}{more}
            where m.audience = {literal(audience)}),
        hashed as (select *, sha256(email) as email_sha256, sha256(phone) as phone_sha256 from member),
        valued as (select *, {', '.join(f'{sql} as v{i}' for i, (sql, _, _) in enumerate(columns))} from hashed),
        checked as (select {', '.join(['*', *bad])} from valued),
        shaped as (select *, {', '.join(written)} from checked)
        select person_id, unknown, rank = 0 and listed_{channel}_{CHANNELS[channel][0]} > 0 as is_listed,
            case when rank = 5 then 'erased'
                when coalesce({', '.join(CHANNELS[channel])}) is null or coalesce({each('v#', ids)}) is null
                    then 'no_identifier'
                when rank > 0 then {BLOCKS}[rank]
                when is_elsewhere then 'other_audience'
                when held_out then 'held_out'
                when coalesce({each('c#', ids)}) is null{lacking} then 'quarantined' end as reason,
            {each('c#')}, case when coalesce({marks}) is not null then concat_ws(' ', {marks}) end as withheld
        from shaped"""


def settle(con, delivery):
    """Decide in the table `file_rows` what depends on other rows: one row per identifier, then the cap."""
    ids = [i for i, column in enumerate(delivery.columns) if column.identifier]
    unique = [i for i, column in enumerate(delivery.columns) if column.field in ("email", "phone") and i != ids[0]]
    changes = [(f"coalesce({', '.join(f'c{i}' for i in ids)})", "reason = 'duplicate'")]
    changes += [(f"c{i}", f"c{i} = null, withheld = concat_ws(' ', withheld, '{i}:duplicate')")
                for i in unique if delivery.spec.get("unique")]
    if any(delivery.columns[i].field == "email" for i in ids) and con.execute("select 1 from other_domains limit 1").fetchone():
        con.execute("""update file_rows set reason = 'duplicate' where reason is null and person_id in (
            select unnest(list_sort(list(person_id))[2:]) from other_domains
            where person_id in (select person_id from file_rows where reason is null) group by email_key having count(*) > 1)""")
    for value, change in changes:
        written = f"reason is null and {value} is not null"
        # Most files have no duplicates, which 64-bit hashes prove three times as fast as the values.
        distinct = con.execute(f"select count(*) = count(distinct hash({value})) from file_rows where {written}")
        if not distinct.fetchone()[0]:
            con.execute(f"""update file_rows set {change} from (
                    select {value} as value, min_by(rowid, person_id) as kept from file_rows where {written}
                    group by all having count(*) > 1) d
                where reason is null and {value} = d.value and file_rows.rowid <> d.kept""")
    if "cap" in delivery.given:  # by a hash of the person, so that the same people stay in from day to day
        con.execute(f"""update file_rows set reason = 'over_cap' where reason is null and rowid not in (
            select rowid from file_rows where reason is null order by md5(person_id), person_id
            limit {delivery.given['cap']})""")


# ---- what files hold ----

STAMP = "%Y-%m-%dT%H:%M:%SZ"


def _wrapped(delivery, columns, identifiers, now):
    """columns [(header, expression)], or for a payload destination: identifiers, when, and the rest as JSON."""
    if not delivery.payload:
        return columns
    rest = ", ".join(f"{literal(header)}: {sql}" for header, sql in columns if header not in identifiers)
    stamp = [(delivery.payload["updated_at"], literal(now.strftime(STAMP)))] if "updated_at" in delivery.payload else []
    return [(header, sql) for header, sql in columns if header in identifiers] + stamp + [
        (delivery.payload["column"], f"to_json({{{rest}}})::varchar")]


def file_columns(delivery, audience, now, removed=False):
    """[(header, expression over file_rows)] of a file; removed: over `leaving`, identifiers only. Where no import takes
    anybody out, a column says who is in the audience.
    """
    ids = [column.header for column in delivery.columns if column.identifier]
    columns = ([(header, f"i{n}") for n, header in enumerate(ids)] if removed else
               [(column.header, f"c{i}") for i, column in enumerate(delivery.columns)])
    flag = [(f"in_{audience}", "false" if removed else "true")] if delivery.payload else []
    member = delivery.member_header(audience)
    if member:
        flag = [(member, "'false'" if removed else "'true'")]
    columns = flag + columns if delivery.spec.get("identifiers_last") and member else columns + flag
    return _wrapped(delivery, columns, ids, now)


def digest(columns, updated_at):
    """16 bytes of a row as written, but for the header updated_at. As JSON no two rows read the same, nor null and empty."""
    values = ", ".join(f"({sql})::varchar" for header, sql in columns if header != updated_at)
    return f"md5(json_array({values})::varchar)::uuid"


def as_bytes(sql, is_hex):
    """An identifier as the ledger keeps it; hashes take half of the room."""
    return f"unhex({sql})" if is_hex else f"encode({sql})"


def as_text(sql, is_hex):
    """An identifier of the ledger as it was written."""
    return f"lower(hex({sql}))" if is_hex else f"decode({sql})"


# ---- by which addresses are found again in the ledger ----

def address_hash(sha):
    """The keyed hash of an address, given its SHA-256 as hexadecimal text: of erased people the marts have no more."""
    return hmac_sql(sha)


def address_shas(people):
    """SELECT of person_id, and the SHA-256 of each address, and of the mailbox where that is another; of a part of the people."""
    mailbox = keys.mailbox_key("email")
    return f"""select person_id, sha256(email) as email, sha256(phone) as phone, sha256(app_user_id) as app_user_id,
            if(contains(email, '@g') and {mailbox} <> email, sha256({mailbox}), null) as mailbox from (
        select p.person_id, {', '.join(f'{sql} as {name}' for name, sql in ADDRESS.items())} from {PERSON} where {people})"""


def own_hashes(con, channel):
    """Create (once) the keyed hash of each address of a channel that people have today: (person_id, field, k). Returns its name."""
    table = f"hashes_{channel}"
    one = " union all ".join(f"select person_id, '{field}' as field, {address_hash(field)} as k from shas where {field} is not null"
                             for field in CHANNELS[channel])
    con.execute(f"create temp table if not exists {table} as with shas as ({address_shas('true')}) {one}")
    return table


def explicit_noes(con, channel):
    """Create who said no on a channel: `no_people` (person_id, rank, reason, said_at) and, by keyed hash, `no_keys` (k, …).

    rank is that of BLOCKS. Silence is no no. A hard bounce is about an address, every other no about the person, so also
    about whatever was written for them or is theirs now. One step only: not about other addresses of others.
    """
    con.execute(f"""create or replace temp table no_people as
        select person_id, {_rank('said')}::utinyint as rank, said as reason from {contact(con, channel)} where said is not null""")
    mailbox = keys.mailbox_key("address")  # the list has the keys of addresses
    con.execute(f"""create or replace temp table no_keys as
        with listed as (select *, {_rank('reason')} as rank from marts.suppression_list where channel = '{channel}' or channel is null),
        clear as (
            select sha256(address) as sha, rank, reason, suppressed_at from listed where address is not null
            union all
            select sha256({mailbox}), rank, reason, suppressed_at from listed where address_type = 'email' and {mailbox} <> address
            union all
            select unnest([a.email, a.phone, a.app_user_id, a.mailbox]), rank, reason, null
            from ({address_shas('p.person_id in (select person_id from no_people)')}) a join no_people using (person_id)),
        found as (
            select unhex(address_hash) as k, rank, reason, suppressed_at from listed where address_hash is not null
            union all
            select {address_hash('sha')}, rank, reason, suppressed_at from clear where sha is not null)
        select k, max(rank)::utinyint as rank, max_by(reason, rank) as reason, max(suppressed_at) as said_at
        from found group by k""")


def first_choices(con, audiences, priorities):
    """Create `first_choices` (person_id, audience): of who is in several of the audiences, the one that the playbook puts first;
    those that are in no play come last, by name. Membership alone decides: who is held out of the first stays untouched.
    """
    if priorities is None and audiences:
        raise Problem(CONTRACT, "one_per_person: audience_summary has no column priority, by which one of several audiences is chosen; rebuild the marts")
    order = sorted(audiences, key=lambda audience: (priorities.get(audience, math.inf), audience))
    con.execute("""create or replace temp table first_choices as
        select person_id, $1[min(list_position($1, audience))] as audience from marts.audience_members
        where list_contains($1, audience) group by person_id having count(*) > 1""", [order])


def share_phones(con, pairs):
    """Create `shared_phones`: phones that more than one e-mail address has, among all customers and in what was
    written there with a phone: pairs, a SELECT of phone and email.
    """
    con.execute(f"""create or replace temp table shared_phones as select phone from (
            select {ADDRESS['phone']} as phone, {ADDRESS['email']} as email from {PERSON} union all {pairs})
        where phone is not null and email is not null group by phone having count(distinct email) > 1""")


def suppress_statement(delivery, known, now):
    """The SELECT of suppress.csv: each listed address of the channel, once, as the destination identifies people; and
    what the destination was given of people who said no, in `held_noes` (n, value, reason, said_at): erased people have no
    address any more. What the importer needs beside an address is its owner's. More columns: `~i0` …, `~reason`.
    """
    columns, owners = delivery.suppress_columns(), ""
    names = ", ".join(f"i{n}" for n, column in enumerate([column for column in columns if column.identifier]))
    count = names.count(",") + 1
    selects = [f"select {', '.join('value' if i == n else 'null' for i in range(count))}, reason, said_at from held_noes where n = {n}"
               for n in range(count)]
    ids = [column for column in columns if column.identifier]
    beside = [column for column in columns if column.field and not column.identifier]
    for n, column in enumerate(ids):
        value, rules, written = _column_sql(delivery, column, known, False)
        for rule in ("formula", "shared_phone"):  # -dash@example.com has to reach the destination, too
            rules.pop(rule, None)
        bad = " or ".join(["v is null", *(f"coalesce({rule}, false)" for rule in rules.values())])
        address = {"email": normalised("email", "address"), "phone": "if(starts_with(address, '+'), address, null)"}.get(column.field, "address")
        place = ", ".join("c" if i == n else "null" for i in range(len(ids)))
        selects.append(f"""select {place}, reason, suppressed_at from (
            select if({bad}, null, {written}) as c, reason, suppressed_at from (select *, {value} as v from (
                select {address} as {column.field}, sha256({column.field}) as {column.field}_sha256,
                    false as plain_email, 0 as listed_{delivery.channel}_{column.field}, reason, suppressed_at from listed
                where address_type = '{TYPES[column.field]}')))
            where c is not null""".replace("VALUE", "v"))
        if beside:
            facts = {column: _column_sql(delivery, column, known, False) for column in beside}
            fields = ", ".join(f"{known[column.field][1]} as f_{column.field}" for column in beside)
            shaped = ", ".join(f"min({form.replace('VALUE', sql)}) as b{i}"
                               for i, (sql, _, form) in enumerate(facts.values()))
            owners += f""" left join (select {written.replace('VALUE', 'v')} as c, {shaped} from (
                select *, {value} as v from (select *, sha256({column.field}) as {column.field}_sha256,
                    0 as listed_{delivery.channel}_{column.field} from (
                    select {ADDRESS[column.field]} as {column.field}, {fields} from {PERSON})))
                group by all) o{n} on o{n}.c = i{n}"""
    special = {"{reason}": "min(reason)", "{suppressed_at}":
               # a no without a time is a no whenever it was said
               f"strftime(coalesce(max(suppressed_at), {literal(now.strftime('%Y-%m-%d %H:%M:%S'))}::timestamp), "
               f"{literal(delivery.time_form('TIMESTAMP', None))})"}

    def shape(column):
        if column.identifier:
            return f"i{ids.index(column)}"
        if column.field:
            return f"min(coalesce({', '.join(f'o{n}.b{beside.index(column)}' for n in range(len(ids)))}))"
        return special.get(column.constant) or _constant_sql(delivery, column)

    listed = [(column.header, shape(column)) for column in columns]
    more = [*((f"~i{n}", f"i{n}") for n in range(len(ids))), ("~reason", "min(reason)")]
    shown = _wrapped(delivery, listed, [column.header for column in ids], now)
    return f"""with listed as (select * replace ({in_utc('TIMESTAMP', 'suppressed_at')} as suppressed_at)
                               from marts.suppression_list where channel = '{delivery.channel}' or channel is null),
            addresses({names}, reason, suppressed_at) as ({' union all '.join(selects)})
        select {', '.join(f'{sql} as {quoted(header)}' for header, sql in [*shown, *more])} from addresses{owners}
        group by {names}"""
