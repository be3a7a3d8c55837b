"""The SQL of the export: contract, identifiers, consent, the one statement per file, delta, suppression list.

Everything here runs in DuckDB on the published marts (schema `marts`); Python only composes text. Values
that people typed never enter the text. Hashes are lower-case hex SHA-256 of UTF-8; phones are E.164;
timestamps are UTC. Normalisation follows the vendors' import documentation, gathered 2026-11.
"""

import re

from .config import CHANNELS, CONTRACT, UNEXPECTED, USAGE, Problem

TEXT, BOOL, DATE, TIME, NUMBER = r"VARCHAR", r"BOOLEAN", r"DATE", r"TIMESTAMP.*", r".*INT.*|DECIMAL.*|DOUBLE|FLOAT"
MARTS = {
    "customers": {
        **dict.fromkeys(
            [
                "person_id",
                "primary_customer_id",
                "email",
                "phone",
                "app_user_id",
                "first_name",
                "last_name",
                "country",
                "region",
                "city",
                "language",
                "time_zone",
                "stage",
                "clm_stage",
                "rfm_segment",
                "rfm_clm_stage",
            ],
            TEXT,
        ),
        **dict.fromkeys(
            ["r_score", "f_score", "m_score", "orders_count", "gross_revenue", "net_revenue", "recency_days"], NUMBER
        ),
        **dict.fromkeys(["first_order_date", "last_order_date", "last_activity_date"], DATE),
        **dict.fromkeys(
            [
                "is_active_30d",
                "is_customer",
                "is_repeat_customer",
                "is_loyal_customer",
                "can_email",
                "can_sms",
                "can_push",
                "can_ads",
            ],
            BOOL,
        ),
        "stage_entered_at": TIME,
    },
    "customer_channels": {
        "person_id": TEXT,
        "channel": TEXT,
        "can_contact": BOOL,
        "consent_status": TEXT,
        "consented_at": TIME,
        "blocked_reason": TEXT,
    },
    "suppression_list": {
        "channel": TEXT,
        "address_type": TEXT,
        "address": TEXT,
        "address_sha256": TEXT,
        "reason": TEXT,
        "suppressed_at": TIME,
    },
    "audience_members": {
        "audience": TEXT,
        "person_id": TEXT,
        "entered_on": DATE,
        "is_holdout": BOOL,
        "can_email": BOOL,
        "can_sms": BOOL,
        "can_push": BOOL,
        "can_ads": BOOL,
        "blocked_reason": TEXT,
    },
    "lifecycle_metrics": {"metric_date": DATE},
}
# Fields that are no column of customers.
OTHER_FIELDS = {
    "audience": ("VARCHAR", "m.audience"),
    "entered_on": ("DATE", "m.entered_on"),
    "consented_at": ("TIMESTAMP", "ch.consented_at"),
}
# In order of severity: what is further right wins.
BLOCKS = ["no_consent", "unsubscribed", "hard_bounce", "complaint", "erased"]
# In order of the waterfall; the first that applies is the person's one reason.
REASONS = [
    "erased",
    "no_identifier",
    "complaint",
    "hard_bounce",
    "unsubscribed",
    "no_consent",
    "held_out",
    "duplicate",
    "quarantined",
    "over_cap",
]
# trim() and \s know ASCII only: NBSP, zero-width characters and BOM have to be named.
BLANKS = "".join(
    map(
        chr,
        [
            *range(9, 14),
            32,
            0x85,
            0xA0,
            0x1680,
            *range(0x2000, 0x2010),
            0x2028,
            0x2029,
            0x202F,
            0x205F,
            0x2060,
            0x3000,
            0xFEFF,
        ],
    )
)
E164 = r"\+[1-9][0-9]{6,14}"
EMAIL = r"[^\s@\"(),:;<>\[\]\\" + BLANKS + r"]{1,64}@[\p{L}\p{N}_-]+([.][\p{L}\p{N}_-]+)*[.][\p{L}\p{N}-]{2,}"
# For speed: what nearly all addresses look like needs neither normalising nor a closer look.
PLAIN_EMAIL = "[a-z0-9][a-z0-9._%+-]{0,63}@([a-z0-9-]+[.])+[a-z]{2,}"
# Free text that a destination refuses; a match withholds the value.
REFUSED = {
    "formula": f"^[{BLANKS}]*[=+@＝＋－＠-]|^[\\t\\r\\n]",
    "line_break": r"[\n\r\x{85}\x{2028}\x{2029}]",
    "leading_zero": r"^0[0-9]+$",
    "emoji": r"[\x{1F000}-\x{1FAFF}\x{2300}-\x{23FF}\x{2600}-\x{27BF}\x{2B00}-\x{2BFF}\x{200D}\x{20E3}\x{FE0F}]",
    "local_part_not_ascii": r"^[^@]*[^\x00-\x7F@][^@]*@",
}
VECTORS = [  # normaliser, input, normalised, SHA-256 of it (published by Meta and Google)
    (
        "email",
        " John_Smith@gmail.com ",
        "john_smith@gmail.com",
        "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f",
    ),
    (
        "email",
        "mary@example.com",
        "mary@example.com",
        "f1904cf1a9d73a55fa5de0ac823c4403ded71afd4c3248d00bdcd0866552bb79",
    ),
    ("digits", "+1 (650) 555-1212", "16505551212", "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"),
    ("name", "Valéry", "valéry", "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c"),
    ("name", "정", "정", "8fa8cd9c440be61d0151429310034083132b35975c4bea67fdd74158eb51db14"),
    ("name", "us", "us", "79adb2a2fce5c6ba215fe5f27f532d4e7edbac4b6a5e09e1ef3a08084a904621"),
    (
        "gmail",
        "  ALEXZ@example.com   ",
        "alexz@example.com",
        "509e933019bb285a134a9334b8bb679dff79d0ce023d529af4bd744d47b4fd8a",
    ),
    ("e164", "+1-800-555-0100   ", "+18005550100", "fb4f73a6ec5fdb7077d564cdd22c3554b43ce49168550c3b12c547b78c517b30"),
    ("name", "GivenName", "givenname", "128a07bfe2df877c52076e60d7774cf5baaa046c5a6c48daf30ff43ecca2f814"),
    ("gmail", "Cloudy.SanFrancisco+shopping@googlemail.com", "cloudysanfrancisco@googlemail.com", None),
    ("gmail", "user.name+NYC@Example.com", "user.name+nyc@example.com", None),
    ("name", "", None, None),
    (
        "name",
        "f1904cf1a9d73a55fa5de0ac823c4403ded71afd4c3248d00bdcd0866552bb79",
        "f1904cf1a9d73a55fa5de0ac823c4403ded71afd4c3248d00bdcd0866552bb79",
        None,
    ),
]


def literal(value):
    """An SQL string literal."""
    return "'" + str(value).replace("'", "''") + "'"


def quoted(name):
    """An SQL identifier."""
    return '"' + str(name).replace('"', '""') + '"'


def stripped(sql):
    return f"regexp_replace({sql}, '^[{BLANKS}]+|[{BLANKS}]+$', '', 'g')"


def normalised(kind, sql):
    """The SQL expression that normalises the text expression sql; empty becomes null."""
    email = f"case when regexp_full_match({sql}, '{PLAIN_EMAIL}') then {sql} else lower({stripped(sql)}) end"
    return (
        "nullif("
        + {
            "email": email,
            # Only these two domains ignore dots and +suffix; elsewhere j.doe and jdoe are two people.
            "gmail": f"case when regexp_matches({email}, '@(gmail|googlemail)[.]com$') then replace(split_part("
            f"split_part({email}, '@', 1), '+', 1), '.', '') || '@' || split_part({email}, '@', 2) "
            f"else {email} end",
            "e164": plain_e164(sql),
            "digits": f"ltrim({plain_e164(sql)}, '+')",
            "name": f"lower({stripped(sql)})",
            "letters": f"regexp_replace(lower({sql}), '[^\\p{{L}}]', '', 'g')",
            "upper": f"upper({stripped(sql)})",
            "text": sql,
        }[kind]
        + ", '')"
    )


def plain_e164(sql):
    """E.164 of a phone that is international already, whatever its punctuation; null for all others.

    `+44 (0)20 …` is none: dropping the brackets would keep a zero that must not be dialled from abroad.
    """
    bare = f"regexp_replace({sql}, '[{BLANKS}().\\-/]', '', 'g')"
    return (
        f"case when regexp_full_match({sql}, '{E164}') then {sql} "
        f"when not contains({sql}, '(0)') and regexp_full_match({bare}, '{E164}') then {bare} end"
    )


def digits(sql):
    """A phone as the suppression list writes it: only + and digits."""
    return f"case when regexp_full_match({sql}, '{E164}') then {sql} else regexp_replace({sql}, '[^0-9+]', '', 'g') end"


def is_hash(sql):
    return f"(length({sql}) = 64 and regexp_full_match(lower({sql}), '[0-9a-f]+'))"


def self_test(con):
    """Recompute the published vectors with the very expressions of the export. Problem when one differs."""
    for kind, raw, clean, digest in VECTORS:
        got = con.execute(
            f"select n, if(not {is_hash('n')}, sha256(n), null) from (select {normalised(kind, 'v')} as n from (select ?::varchar as v))",
            [raw],
        ).fetchone()
        if got[0] != clean or ((digest or "") != (got[1] or "") and (digest or kind != "gmail")):
            raise Problem(
                UNEXPECTED, f"self-test: the published '{kind}' vector does not come out; no hashed file was written"
            )


def check_contract(con):
    """Compare the marts with what the export reads. Return {column of customers: DuckDB type}; Problem 3 otherwise."""
    problems, types = [], {}
    tables = {
        row[0]
        for row in con.execute(
            "select table_name from duckdb_tables() where schema_name = 'marts' and database_name = 'source' "
            "union all select view_name from duckdb_views() where schema_name = 'marts' and not internal"
        ).fetchall()
    }
    for mart, columns in MARTS.items():
        if mart not in tables:
            problems.append(f"the mart '{mart}' is missing")
            continue
        found = {row[0]: row[1] for row in con.execute(f"describe marts.{mart}").fetchall()}
        types = found if mart == "customers" else types
        for column, pattern in columns.items():
            if column not in found:
                problems.append(f"{mart}.{column} is missing")
            elif not re.fullmatch(pattern, found[column]):
                problems.append(f"{mart}.{column} is {found[column]}")
    if not problems:
        for sentence, sql in {
            "audience_members has rows without audience or person_id": "select 1 from marts.audience_members where audience is null or person_id is null",
            "audience_members has an audience name with characters other than letters, digits, _ and -": "select 1 from marts.audience_members where not regexp_full_match(audience, '[A-Za-z0-9_-]{1,100}')",
            "customers has rows without person_id": "select 1 from marts.customers where person_id is null",
            "suppression_list has an unknown address_type or a row without address and hash": "select 1 from marts.suppression_list where address_type is null or address_type not in "
            "('email', 'phone', 'user_id') or (address is null and address_sha256 is null)",
            "suppression_list.address_sha256 is not the SHA-256 of address": "select 1 from marts.suppression_list where address_sha256 <> sha256(address)",
            "lifecycle_metrics is empty": "select 1 where not exists (from marts.lifecycle_metrics where metric_date is not null)",
        }.items():
            if con.execute(f"{sql} limit 1").fetchone():
                problems.append(sentence)
    if problems:
        raise Problem(
            CONTRACT, f"the published marts do not fulfil the contract: {'; '.join(problems)}; rebuild and publish them"
        )
    return {**types, **{field: kind for field, (kind, _) in OTHER_FIELDS.items()}}


def read_phones(con):
    """Create `phone_book`: E.164 of the phones that are written nationally, by the phonenumbers library if installed.

    Returns the number of phones that stay unusable for want of that library.
    """
    con.execute("create temp table phone_book (raw varchar, region varchar, e164 varchar)")
    unread = con.execute(
        f"select distinct phone, upper(country) from marts.customers where phone <> '' "
        f"and {plain_e164('phone')} is null"
    ).fetchall()
    try:
        import phonenumbers
    except ImportError:
        return len(unread)
    book = []
    for raw, region in unread:
        try:
            number = phonenumbers.parse(raw, region)
        except phonenumbers.NumberParseException:
            continue
        e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        if phonenumbers.is_possible_number(number) and not number.extension and re.fullmatch(E164, e164):
            book.append((raw, region, e164))
    if book:
        con.execute("insert into phone_book select unnest($1), unnest($2), unnest($3)", [list(x) for x in zip(*book)])
    return 0


# The person `p` of a query, with addresses as they are compared and written.
PERSON = (
    "marts.customers p left join phone_book n on n.raw = p.phone and n.region is not distinct from upper(p.country)"
)
ADDRESS = {
    "email": normalised("email", "p.email"),
    "phone": f"coalesce({plain_e164('p.phone')}, n.e164)",
    "phone_digits": f"nullif({digits('p.phone')}, '')",
    "app_user_id": "nullif(p.app_user_id, '')",
}


def _rank(sql):
    """The severity of a reason: 5 erased … 1 anything that is not known."""
    return f"case {sql} " + " ".join(f"when '{name}' then {i}" for i, name in enumerate(BLOCKS, 1)) + " else 1 end"


def own_rank(channel):
    """The severity of person p's own state on a channel (ch): 0 only with consent, its time, and nothing against it."""
    return f"""case when p.stage = 'erased' then 5
        when ch.can_contact and ch.consent_status = 'opted_in' and ch.consented_at is not null
            and ch.blocked_reason is null and p.can_{channel} then 0
        else {_rank("ch.blocked_reason")} end"""


# How a person's addresses are compared with each kind of blocking value. A number that was listed without its
# country code is met by every number that ends in it after 0 to 3 digits of code.
_CODES = [f"substr(phone, {start})" for start in (2, 3, 4, 5)]
PROBES = {
    "email": ["email"],
    "email_sha256": ["sha256(email)"],
    "mailbox": [normalised("gmail", "email")],
    "user_id": ["app_user_id"],
    "user_id_sha256": ["sha256(app_user_id)"],
    "phone": ["phone", "if(phone_digits is distinct from phone, phone_digits, null)"],
    "national": [f"ltrim({tail}, '0')" for tail in _CODES] + ["if(phone is null, ltrim(phone_digits, '+0'), null)"],
    "phone_sha256": [
        f"sha256({form})"
        for form in ["phone", "phone_digits", _CODES[0], f"'00' || {_CODES[0]}"]
        + [f"'0' || {tail}" for tail in _CODES[1:]]
    ],
}


def block(con, channel, gmail):
    """Create (once) the table of what blocks an address on a channel: (kind, value, rank). Returns (name, kinds).

    An address blocks when it, or its hash, is on the suppression list, or when a person who has it may not be
    contacted. gmail: also compare the mailbox that is left when dots and +suffix are dropped.
    """
    table = f"block_{channel}{'_gmail' if gmail else ''}"
    values = {
        "email": [("email", "{}")] + [("mailbox", normalised("gmail", "{}"))] * gmail,
        "app_user_id": [("user_id", "{}")],
        "phone": [("phone", "{}")],
        "phone_digits": [("phone", "{}")],
    }
    fields = [f for f in ADDRESS if f in CHANNELS[channel] or (f == "phone_digits" and "phone" in CHANNELS[channel])]
    people = [
        f"select '{kind}', {form.replace('{}', field)}, rank from unwilling"
        for field in fields
        for kind, form in values[field]
    ]
    people += ["select 'national', ltrim(phone_digits, '+0'), rank from unwilling where phone is null"] * (
        "phone" in fields
    )
    mailbox = f"select 'mailbox', {normalised('gmail', 'address')}, rank from listed where address_type = 'email'"
    con.execute(f"""create temp table if not exists {table} as
        with listed as (select *, {_rank("reason")} as rank from marts.suppression_list
                        where channel = '{channel}' or channel is null),
        unwilling as (select {", ".join(f"{sql} as {name}" for name, sql in ADDRESS.items())}, {own_rank(channel)} as rank
            from {PERSON} left join marts.customer_channels ch on ch.person_id = p.person_id and ch.channel = '{channel}'
            where {own_rank(channel)} > 0)
        select kind, value, max(rank)::utinyint as rank from (
            select address_type as kind, case address_type when 'email' then {normalised("email", "address")}
                when 'phone' then {digits("address")} else address end as value, rank from listed
            union all select address_type || '_sha256', lower(address_sha256), rank from listed where address is null
            union all select 'national', ltrim({digits("address")}, '+0'), rank from listed
                where address_type = 'phone' and not starts_with(address, '+')
            union all {" union all ".join(people + [mailbox] * gmail)})
        where value <> '' group by all""")
    return table, {row[0] for row in con.execute(f"select distinct kind from {table}").fetchall()}


def _column_sql(delivery, column, types, safe):
    """How one column is made: (value over `judged`, {refused rule: condition on VALUE}, what is written of VALUE)."""
    spec, field = delivery.spec, column.field
    if field is None:
        return "null::varchar" if column.constant is None else literal(column.constant), {}, "VALUE"
    if field not in types:
        raise Problem(USAGE, f"deliveries.{delivery.name}.fields: customers has no column '{field}'")
    kind, sql, csv = types[field], field if field in ADDRESS else f"f_{field}", spec["format"] == "csv"
    owner = next((channel for channel in ("email", "sms") if CHANNELS[channel] == [field]), None)
    if owner and field not in CHANNELS[delivery.channel]:
        # A phone beside an e-mail address is another way to reach the person: only with that channel's consent.
        sql = f"case when can_{owner} and rank_{owner} = 0 then {field} end"
    if kind != "VARCHAR":
        if not re.fullmatch(f"{NUMBER}|{BOOL}|{DATE}|{TIME}", kind):
            raise Problem(USAGE, f"deliveries.{delivery.name}.fields: '{field}' is {kind}, which no file can hold")
        if re.fullmatch(f"{DATE}|{TIME}|DOUBLE|FLOAT", kind):
            sql = f"case when isfinite({sql}) then {sql} end"
        if re.fullmatch(f"{DATE}|{TIME}", kind) and csv:
            sql = f"strftime({sql}, {literal(delivery.time_format(kind))})"
        return f"({sql})::varchar" if csv and "payload" not in spec else sql, {}, "VALUE"
    normaliser, hash_it = spec.get("normalise", {}).get(field, "text"), field in spec.get("hash", [])
    sql = f"ltrim({sql}, '+')" if (field, normaliser) == ("phone", "digits") else normalised(normaliser, sql)
    if hash_it:
        rules = {"already_hashed": is_hash("VALUE")} if field not in ADDRESS else {}
        written = "sha256(VALUE)" if not delivery.salt else "sha256(getvariable('salt') || VALUE)"
        if not delivery.salt and f"{field}/{normaliser}" in ("email/text", "phone/text"):
            written = f"{field}_sha256"
    else:
        rules = {name: breaks(name, "VALUE") for name in delivery.refused(column)}
        written = "VALUE"
        if safe and field not in ADDRESS and not column.identifier and rules.pop("formula", None):
            written = f"case when {breaks('formula', 'VALUE')} then '''' || VALUE else VALUE end"
        if "text_bytes" in spec:
            rules["too_long"] = f"strlen(VALUE) > {spec['text_bytes']}"
    if field == "email":
        rules["not_an_email"] = (
            f"strlen(VALUE) > 254 or not (plain_email or regexp_full_match(VALUE, {literal(EMAIL)}))"
        )
    return sql, rules, written


def breaks(rule, sql):
    """The condition that a text breaks a rule of REFUSED."""
    if rule == "formula":  # a letter first is safe, and nearly every text begins with one: look no further
        return f"case when unicode({sql}) between 65 and 132 then false else {_breaks(rule, sql)} end"
    return _breaks(rule, sql)


def _breaks(rule, sql):
    return f"regexp_matches({sql}, {literal(REFUSED[rule])})"


def main_statement(delivery, audience, types, blocks, safe):
    """The one SELECT of a file: every member of the audience with the reason that keeps it out (null: written),
    c0 … cn as written, and `withheld`, the "n:rule" of values the destination does not take. No rows are lost:
    the waterfall adds up. blocks: {channel: (table, kinds)} of the delivery's channel and of addresses beside it.
    """
    channel, columns = delivery.channel, [_column_sql(delivery, column, types, safe) for column in delivery.columns]
    fields = {c.field for c in delivery.columns if c.field and c.field not in ADDRESS}
    raw = ", ".join(f"{OTHER_FIELDS.get(f, (0, f'p.{quoted(f)}'))[1]} as f_{f}" for f in sorted(fields)) or "null"
    joins, ranks = [], {}
    for name, (table, kinds) in blocks.items():
        probes = [(kind, probe) for kind in sorted(kinds) for probe in PROBES[kind]]
        for i, (kind, probe) in enumerate(probes):
            probe = {"sha256(email)": "email_sha256", "sha256(phone)": "phone_sha256"}.get(probe, probe)
            joins.append(f"left join {table} {name}{i} on {name}{i}.kind = '{kind}' and {name}{i}.value = {probe}")
        ranks[name] = f"greatest({', '.join(['0::utinyint', *(f'{name}{i}.rank' for i in range(len(probes)))])})"
    bad, written = [], []
    for i, (_, rules, form) in enumerate(columns):
        whens = " ".join(f"when {rule.replace('VALUE', f'v{i}')} then '{i}:{name}'" for name, rule in rules.items())
        bad.append(f"case {whens} end as b{i}" if rules else f"null as b{i}")
        form = form.replace("VALUE", f"v{i}")
        written.append(f"case when b{i} is null then {form} end as c{i}" if rules else f"{form} as c{i}")
    every, ids = range(len(columns)), [i for i, column in enumerate(delivery.columns) if column.identifier]
    return f"""
        with member as (
            select m.person_id, p.person_id is null as unknown, p.can_email, p.can_sms, {raw},
                regexp_full_match(p.email, '{PLAIN_EMAIL}') as plain_email,
                m.is_holdout is distinct from false as held_out, if(m.can_{channel}, 0, 1)::utinyint as member_rank,
                ({own_rank(channel)})::utinyint as own_rank, {", ".join(f"{sql} as {name}" for name, sql in ADDRESS.items())}
            from marts.audience_members m left join ({PERSON}) on p.person_id = m.person_id
            left join marts.customer_channels ch on ch.person_id = m.person_id and ch.channel = '{channel}'
            where m.audience = {literal(audience)}),
        hashed as (select *, sha256(email) as email_sha256, sha256(phone) as phone_sha256 from member),
        judged as (select hashed.*, greatest(own_rank, member_rank, {ranks[channel]}) as rank
                {"".join(f", {sql} as rank_{name}" for name, sql in ranks.items() if name != channel)}
            from hashed {" ".join(joins)}),
        valued as (select *, {", ".join(f"{sql} as v{i}" for i, (sql, _, _) in enumerate(columns))} from judged),
        checked as (select *, {", ".join(bad)} from valued),
        shaped as (select *, {", ".join(written)} from checked)
        select person_id, unknown,
            case when rank = 5 then 'erased'
                when coalesce({", ".join(CHANNELS[channel])}) is null or coalesce({", ".join(f"v{i}" for i in ids)}) is null
                    then 'no_identifier'
                when rank > 0 then [{", ".join(map(literal, BLOCKS))}][rank]
                when held_out then 'held_out'
                when coalesce({", ".join(f"c{i}" for i in ids)}) is null then 'quarantined' end as reason,
            {", ".join(f"c{i}" for i in every)},
            nullif(concat_ws(' ', {", ".join(f"b{i}" for i in every)}), '') as withheld
        from shaped"""


def settle(con, delivery):
    """Decide in the table `file_rows` what depends on other rows: one row per identifier, then the cap."""
    ids = [i for i, column in enumerate(delivery.columns) if column.identifier]
    others = [i for i, column in enumerate(delivery.columns) if column.field in ("email", "phone") and i not in ids]
    first, rest = f"coalesce({', '.join(f'c{i}' for i in ids)})", ids[1:] + others
    changes = [(first, "reason = 'duplicate'")]
    changes += [
        (f"c{i}", f"c{i} = null, withheld = concat_ws(' ', withheld, '{i}:duplicate')")
        for i in rest
        if delivery.spec.get("unique")
    ]
    for value, change in changes:
        # Most files have no duplicates, which 64-bit hashes prove three times as fast as the values.
        if con.execute(
            f"select count({value}) = count(distinct hash({value})) from file_rows where reason is null "
            f"and {value} is not null"
        ).fetchone()[0]:
            continue
        con.execute(f"""update file_rows set {change} from (
                select {value} as value, min_by(rowid, person_id) as kept from file_rows
                where reason is null and {value} is not null group by all having count(*) > 1) d
            where reason is null and {value} = d.value and file_rows.rowid <> d.kept""")
    if delivery.cap:  # by a hash of the person, so that the same people stay in from day to day
        con.execute(f"""update file_rows set reason = 'over_cap' where reason is null and person_id not in (
            select person_id from file_rows where reason is null order by md5(person_id), person_id limit {delivery.cap})""")


def file_columns(delivery, audience, now, removed=False):
    """[(header, expression over file_rows)] of a delivered file; removed: the columns of a removal."""
    spec = delivery.spec
    plain = [(column.header, f"c{i}", column) for i, column in enumerate(delivery.columns)]
    ids = [
        (header, f"i{n}" if removed else sql) for n, (header, sql, _) in enumerate(c for c in plain if c[2].identifier)
    ]
    if "payload" not in spec:
        return ids if removed else [(header, sql) for header, sql, _ in plain]
    fields = [] if removed else [f"{literal(header)}: {sql}" for header, sql, column in plain if not column.identifier]
    fields.append(f"{literal('in_' + audience)}: {'false' if removed else 'true'}")
    return ids + [
        (spec["payload"]["updated_at"], stamp(now)),
        (spec["payload"]["column"], f"to_json({{{', '.join(fields)}}})::varchar"),
    ]


def stamp(now):
    return literal(now.strftime("%Y-%m-%dT%H:%M:%SZ"))


def key_and_digest(identifiers, columns, updated_at):
    """(key, digest) expressions of a row as written. identifiers: headers; columns: [(header, expression)];
    updated_at: the header that the digest skips, or None."""
    by_header = dict(columns)
    key = "coalesce(" + ", ".join(f"'{n}:' || {by_header[header]}" for n, header in enumerate(identifiers)) + ")"
    # With its length before each value, no two rows read the same; concat alone would drop nulls.
    parts = ", ".join(
        f"coalesce(strlen(({sql})::varchar) || ':' || ({sql})::varchar, '-')"
        for header, sql in columns
        if header != updated_at
    )
    return key, f"md5_number_lower(concat({parts}))"


def suppress_statement(delivery, types, given, now):
    """The SELECT of suppress.csv: (id columns, constants) for each listed address of the channel, each once.

    given: a SELECT of (identifier) of what the last acknowledged delivery holds, or None. An erased person has no
    address any more: only a destination that was given it before is told it, so that the erasure reaches it too.
    """
    columns = delivery.suppress_columns()
    ids = [column for column in columns if column.identifier]
    kinds = {"email": "email", "phone": "phone", "app_user_id": "user_id"}
    selects = []
    for n, column in enumerate(ids):
        value, rules, written = _column_sql(delivery, column, types, False)
        bad = " or ".join(["v is null", *(f"coalesce({rule}, false)" for rule in rules.values())]).replace("VALUE", "v")
        shaped = f"case when not ({bad}) then {written.replace('VALUE', 'v')} end"
        address = {"email": normalised("email", "address"), "phone": plain_e164("address"), "app_user_id": "address"}[
            column.field
        ]
        selects.append(f"""select {", ".join("c" if i == n else "null" for i in range(len(ids)))}, reason from (
            select {shaped} as c, reason from (select *, {value} as v from (
                select {address} as {column.field}, sha256({column.field}) as {column.field}_sha256,
                    false as plain_email, reason from listed
                where address_type = '{kinds[column.field]}'))) where c is not null""")
        if given:
            sha = "substr(key, 3)" if column.field in delivery.spec.get("hash", []) else "sha256(substr(key, 3))"
            selects.append(f"""select {", ".join("substr(key, 3)" if i == n else "null" for i in range(len(ids)))}, 'erased'
                from ({given}) where key[1] = '{n}' and {sha} in (
                    select lower(address_sha256) from listed where address is null and address_type = '{kinds[column.field]}')""")
    names = [f"i{n}" for n in range(len(ids))]
    constants = [
        (
            c.header,
            "min(reason)"
            if c.constant == "{reason}"
            else "null::varchar"
            if c.constant is None
            else literal(c.constant),
        )
        for c in columns
        if not c.identifier
    ]
    if "payload" in delivery.spec:
        fields = ", ".join(f"{literal(header)}: {sql}" for header, sql in constants)
        constants = [
            (delivery.spec["payload"]["updated_at"], stamp(now)),
            (delivery.spec["payload"]["column"], f"to_json({{{fields}}})::varchar"),
        ]
    return f"""with listed as (select * from marts.suppression_list where channel = '{
        delivery.channel
    }' or channel is null),
        u({", ".join(names)}, reason) as ({" union all ".join(selects)})
        select {
        ", ".join(
            [f"{n} as {quoted(c.header)}" for n, c in zip(names, ids)]
            + [f"{sql} as {quoted(header)}" for header, sql in constants]
        )
    }
        from u group by {", ".join(names)} order by all"""
