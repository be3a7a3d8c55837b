{#-
  Two spellings of one address are one address: addresses are compared by these keys and by nothing else. tests/test_address_keys.py
  holds them against Python's codecs and the phonenumbers library; scripts/audience_export compares by the same macros.
-#}

{#- An e-mail address as it is written to others: composed (NFC), without blanks around it, lower case; what has no @ is none. -#}
{% macro written_email(email) %}
    {{ return("case when " ~ email ~ " like '%_@_%' then case when " ~ matches(email, '^[!-~]*$') ~ " then lower(" ~ email ~ ") else "
        ~ composed("lower(" ~ strip(email) ~ ")") ~ " end end") }}
{% endmacro %}

{#- What an e-mail address is compared by: as it is written, with the domain as the DNS knows it. -#}
{% macro email_key(email) %}
    {%- set written = composed("lower(" ~ strip(email) ~ ")") -%}
    {{ return("case when " ~ email ~ " like '%_@_%' then case when " ~ matches(email, '^[!-~]*$') ~ " then lower(" ~ email ~ ") else "
        ~ replace_matches(written, '@[^@]*$', '') ~ " || '@' || " ~ ascii_domain(replace_matches(written, '^.*@', '')) ~ " end end") }}
{% endmacro %}

{#- The mailbox of the key of an e-mail address: Gmail ignores dots and what follows a plus. It only refuses: it links and erases nobody. -#}
{% macro mailbox_key(email_key) %}
    {{ return("case when " ~ is_aliased(email_key) ~ " then replace(" ~ replace_matches(email_key, '([+].*)?@[^@]*$', '') ~ ", '.', '') || '@gmail.com' else "
        ~ email_key ~ " end") }}
{% endmacro %}

{#- May several spellings of this key of an e-mail address reach one mailbox? -#}
{% macro is_aliased(email_key) %}{{ return("(" ~ email_key ~ " like '%@gmail.com' or " ~ email_key ~ " like '%@googlemail.com')") }}{% endmacro %}


{#-
  The keys of phone numbers: a query of one row per phone and region of the relation (phone as written, region as country code or
  ''), with
    phone_key        E.164; of a national number without a country its digits alone; null if it is no number,
    phone_e164       the key if it can be dialled: it fits the numbers of its country (seed phone_regions), and nothing else is
                     written beside it,
    national_number  the key without its calling code, and dialled_number as it is dialled in its country; null without one,
    problem          why there is no phone_e164.
  A damaged number may become the key of another one: so whatever is written to people is phone_e164, and the key refuses.
-#}
{% macro phone_keys(relation) %}
with phone_regions as (
    select * from {{ ref('phone_regions') }}
),

-- by its name, and by its calling code as the region that the code is mainly of
lookups as (
    select
        region as lookup,
        calling_code,
        national_prefix,
        prefix_pattern,
        prefix_transform,
        number_pattern
    from phone_regions

    union all

    select
        cast(calling_code as string) as lookup,
        calling_code,
        national_prefix,
        prefix_pattern,
        prefix_transform,
        number_pattern
    from phone_regions
    where is_main
),

given as (
    select distinct
        phone,
        region
    from {{ relation }}
    where phone is not null
),

-- digits of any script; without an extension, and without the (0) that is not dialled from abroad
bare as (
    select
        given.phone,
        given.region,
        phone_regions.international_prefix,
        case
            when {{ matches('given.phone', '^[+]?[0-9]+$') }} then given.phone
            else {{ replace_matches(replace_matches(latin_digits('given.phone'), '[ ,;]*(;ext=|[Ee][Xx][Tt][a-zó]*[.:]?|[Xx]|#)[ .:]*[0-9]{1,7}[ #]*$', ''), '[(] *0 *[)]', '') }}
        end as text
    from given
    left join phone_regions on given.region = phone_regions.region
),

dialled as (
    select
        *,
        {{ replace_matches('text', '[^0-9]', '') }} as digits,
        {{ matches('text', '^[^0-9]*[+＋]') }} as has_plus
    from bare
),

-- 00, or what the region dials instead, is a plus
international as (
    select
        phone,
        region,
        text,
        case
            when not has_plus and digits like international_prefix || '%' then substr(digits, length(international_prefix) + 1)
            when has_plus or digits like '00%' then {{ replace_matches('digits', '^0+', '') }}
            else digits
        end as digits,
        has_plus or digits like '00%' or coalesce(digits like international_prefix || '%', false) as is_international
    from dialled
),

coded as (
    select
        *,
        case when is_international then {{ calling_code('digits') }} else region end as lookup
    from international
),

located {{ as_materialized() }} (
    select
        coded.phone,
        coded.region,
        coded.text,
        coded.digits,
        coded.is_international,
        cast(lookups.calling_code as string) as calling_code,
        lookups.national_prefix,
        lookups.prefix_pattern,
        lookups.prefix_transform,
        lookups.number_pattern,
        case when coded.is_international then substr(coded.digits, length(coded.lookup) + 1) else coded.digits end as number,
        -- a number may be given without its plus
        case
            when not coded.is_international and coded.digits like cast(lookups.calling_code as string) || '%'
                then substr(coded.digits, length(cast(lookups.calling_code as string)) + 1)
        end as beyond_code
    from coded
    left join lookups on coded.lookup = lookups.lookup
),

-- a pattern is read once for many numbers, the lines of a text: reading one costs far more than matching
prefixed as (
    select
        prefix_pattern,
        coalesce(prefix_transform, '') as prefix_transform,
        {{ lines_of('number') }} as numbers
    from (
        select prefix_pattern, prefix_transform, number from located where prefix_pattern is not null
        union
        select prefix_pattern, prefix_transform, beyond_code from located where prefix_pattern is not null and beyond_code is not null
    ) as numbers
    group by prefix_pattern, prefix_transform, substr(number, length(number) - 1)
),

unprefixed as (
    select
        prefix_pattern,
        {{ replace_matches('prefix_transform', '[\\\\][0-9]', '') }} as inserted,
        {{ each_line(
            ['number', 'rest', 'transformed'], 'numbers',
            replace_in_lines('numbers', 'prefix_pattern', "''"), replace_in_lines('numbers', 'prefix_pattern', 'prefix_transform')
        ) }}
    from prefixed
),

-- some countries write a number otherwise from abroad, if it has the part that the transformation names
short_numbers as (
    select
        prefix_pattern,
        number,
        case when transformed != inserted || rest then transformed else rest end as short_number
    from unprefixed
),

stripped {{ as_materialized() }} (
    select
        located.*,
        case when located.prefix_pattern is null then {{ without_prefix('located.number', 'located.national_prefix') }} else own.short_number end
            as short_number,
        case when located.prefix_pattern is null then {{ without_prefix('located.beyond_code', 'located.national_prefix') }} else beyond.short_number end
            as short_beyond_code
    from located
    left join short_numbers as own on located.prefix_pattern = own.prefix_pattern and located.number = own.number
    left join short_numbers as beyond on located.prefix_pattern = beyond.prefix_pattern and located.beyond_code = beyond.number
),

tried as (
    select
        number_pattern,
        short_number as number
    from stripped

    union

    select
        number_pattern,
        number
    from stripped
    where number != short_number

    union

    select
        number_pattern,
        short_beyond_code as number
    from stripped
    where short_beyond_code is not null
),

lines as (
    select
        number_pattern,
        {{ lines_of('number') }} as numbers
    from tried
    where number_pattern is not null
    group by number_pattern, substr(number, length(number) - 1)
),

dialable as (
    select
        number_pattern,
        {{ each_matching_line('numbers', 'number_pattern') }} as number
    from lines
),

-- what fits as it stands only is no number with a prefix
matched as (
    select
        stripped.*,
        coalesce(short.number, plain.number, beyond.number) as dialable_number
    from stripped
    left join dialable as short
        on stripped.number_pattern = short.number_pattern and stripped.short_number = short.number
    left join dialable as plain
        on stripped.number_pattern = plain.number_pattern and stripped.number = plain.number and stripped.number != stripped.short_number
    left join dialable as beyond
        on stripped.number_pattern = beyond.number_pattern and stripped.short_beyond_code = beyond.number
),

keyed as (
    select
        *,
        case
            when length(digits) < 4 or {{ matches('digits', '^0*$') }} then null
            when calling_code is not null then '+' || calling_code || coalesce(dialable_number, short_number)
            when is_international then '+' || digits
            else digits
        end as phone_key
    from matched
),

judged as (
    select
        phone,
        region,
        phone_key,
        case when calling_code is not null and phone_key is not null then substr(phone_key, length(calling_code) + 2) end as national_number,
        national_prefix,
        case
            when phone_key is null then 'no phone number'
            when calling_code is null and is_international then 'a calling code of no country'
            when calling_code is null then 'a national number, and no country known; variable phone_country may say the usual one'
            when dialable_number is null or length(phone_key) not between 8 and 16 then 'no number of its country'
            when {{ matches('phone', '[0-9].*[A-Za-z#;]') }} then 'letters or an extension beside the number'
        end as problem
    from keyed
),

keys as (
    select
        phone,
        region,
        phone_key,
        case when problem is null then phone_key end as phone_e164,
        national_number,
        national_prefix || national_number as dialled_number,
        problem
    from judged
)

select * from keys
{% endmacro %}


{#- The calling code of an international number without its plus: codes are prefix-free, and the first two digits tell their length. -#}
{% macro calling_code(digits) %}
    {{ return("substr(" ~ digits ~ ", 1, case when " ~ matches(digits, '^[17]') ~ " then 1 when "
        ~ matches(digits, '^(2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58])') ~ " then 2 else 3 end)") }}
{% endmacro %}


{#- A number without the digits that are dialled before it within its country. -#}
{% macro without_prefix(number, prefix) %}
    {{ return("case when " ~ number ~ " like " ~ prefix ~ " || '%' then substr(" ~ number ~ ", length(" ~ prefix ~ ") + 1) else " ~ number ~ " end") }}
{% endmacro %}


{#- The digits of a phone number, with its plus: to compare within records, and to find what somebody is known under. -#}
{% macro phone_digits(phone) %}
    {%- set bare = replace_matches(replace_matches(phone, '[(]0[)]', ''), '[^0-9+]', '') %}
    {{ return("nullif(" ~ replace_matches(bare, '^00', '+') ~ ", '')") }}
{% endmacro %}

{#- The region by whose rules the phone number of a record is read: its own country, else that of its person, else the usual one. -#}
{% macro phone_region(own, of_person) %}
    {{ return("coalesce(" ~ own ~ ", " ~ of_person ~ (", " ~ sql_text(var('phone_country')) if var('phone_country') else '') ~ ", '')") }}
{% endmacro %}


{#- Is an address given as its SHA-256, as partners list those who must not be written to? -#}
{% macro is_listed_hash(address) %}{{ return(matches(address, '^ *[0-9A-Fa-f]{64} *$')) }}{% endmacro %}

{#- That SHA-256, else null. -#}
{% macro listed_hash(address) %}{{ return("case when " ~ is_listed_hash(address) ~ " then lower(" ~ strip(address) ~ ") end") }}{% endmacro %}


{#- Is the source of a consent, or the reason of a suppression, what our own import wrote there? Read back, that is no statement. -#}
{% macro is_own_import(word) %}
    {%- set words = [] -%}
    {%- for own in var('own_imports') -%}{%- do words.append("coalesce(lower(" ~ word ~ "), '') = " ~ sql_text(own | lower)) -%}{%- endfor -%}
    {{ return("(" ~ (words | join(' or ') or '1 = 0') ~ ")") }}
{% endmacro %}


{#- A person's name to compare: two spellings that differ by case or blanks are one. -#}
{% macro name_key(name) %}{{ return("nullif(lower(" ~ strip(replace_matches(name, '[\\p{Z}\\p{C}]+', ' ')) ~ "), '')") }}{% endmacro %}
