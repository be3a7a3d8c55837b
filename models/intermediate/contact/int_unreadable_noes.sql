-- every address in a row or line that may say no and cannot be read: who wrote it there may have meant never again
with rejected_rows as (
    select * from {{ ref('rejected_rows') }}
),

address_keys as (
    select * from {{ ref('int_address_keys') }}
    where key_type in ('phone', 'user_id')
),

-- an id of one of several instances stands without it in the file
spellings as (
    select
        key_type as address_type,
        key as address,
        key as spelling
    from address_keys

    union

    select
        key_type as address_type,
        key as address,
        {{ replace_matches('key', '^[^:]*:', '') }} as spelling
    from address_keys
),

-- a row that repeats a key can be read: there it says whether it is a no
unreadable as (
    {%- for table in tables_that_say_no() %}
    select
        source,
        table_name,
        row_key,
        reason,
        {{ "'" ~ table.config.meta.says_no ~ "'" if table.config.meta.says_no != 'all' else 'cast(null as string)' }} as channel,
        -- JSON writes a tab as two letters
        {{ replace_matches('raw_row', '\\\\([tnrfb]|u[0-9a-f]{4})', ' ') }} as raw_row
    from rejected_rows
    where {{ may_say_no(table) }}

    union all
    {% endfor %}
    select
        source,
        table_name,
        row_key,
        reason,
        cast(null as string) as channel,
        raw_row
    from rejected_rows
    where 1 = 0
),

emails as (
    select
        source,
        table_name,
        row_key,
        reason,
        channel,
        {{ each_match('raw_row', '[^\\p{Z}\\p{C},;|"{}<>()\\[\\]:]+@[^\\p{Z}\\p{C},;|"{}<>()\\[\\]:]+') }} as email
    from unreadable
),

words as (
    select
        source,
        table_name,
        row_key,
        reason,
        channel,
        {{ each_match('raw_row', '[^,;|"{}\\t\\r\\n]+') }} as word
    from unreadable
),

-- a number is a phone or a user only if somebody is known under it
known as (
    {%- for address_type, word in [
        ('phone', phone_digits(replace_matches('words.word', '[A-Za-z].*$', ''))),
        ('user_id', strip(replace_matches('words.word', '^:', '')))
    ] %}
    select
        words.source,
        words.table_name,
        words.row_key,
        words.reason,
        words.channel,
        spellings.address_type,
        spellings.address
    from words
    inner join spellings on spellings.address_type = '{{ address_type }}' and spellings.spelling = {{ word }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

noes as (
    select
        source,
        table_name,
        row_key,
        reason,
        channel,
        'email' as address_type,
        {{ email_key(replace_matches('email', '^[\\x27]+|[.\\x27]+$', '')) }} as address
    from emails

    union all

    select
        source,
        table_name,
        row_key,
        reason,
        channel,
        address_type,
        address
    from known
),

final as (
    select distinct *
    from noes
    where address is not null
)

select * from final
