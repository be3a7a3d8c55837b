-- address × channel × what was said or reported of it, from every table that says so
with consents as (
    select * from {{ ref('stg_esp__consents') }}
    where status != 'silence'
),

suppressions as (
    select * from {{ ref('stg_esp__suppressions') }}
),

messages as (
    select
        email,
        unsubscribed_at,
        {{ wall_clock_to_utc('unsubscribed_at') }} as unsubscribed_at_utc,
        complained_at,
        {{ wall_clock_to_utc('complained_at') }} as complained_at_utc
    from {{ ref('stg_esp__messages') }}
    where unsubscribed_at is not null or complained_at is not null
),

unreadable_noes as (
    select * from {{ ref('int_unreadable_noes') }}
),

erasures as (
    select * from {{ ref('int_erasures') }}
    where kind in ('email', 'user_id')
),

phone_keys as (
    select * from {{ ref('int_phone_keys') }}
    where region = ''
),

address_keys as (
    select * from {{ ref('int_address_keys') }}
    where key_type != 'user_id'
),

channels as (
    select * from {{ ref('channels') }}
),

-- the reasons that a suppression can have
block_reasons as (
    select * from {{ ref('block_reasons') }}
    where reason in ('erased', 'complaint', 'hard_bounce', 'unsubscribed')
),

said as (
    select
        email,
        phone,
        user_id,
        email_hash,
        phone_hash,
        channel,
        case when status = 'opted_in' then 'opted_in' else 'opted_out' end as statement,
        source,
        changed_at as said_at,
        changed_at_utc as said_at_utc
    from consents
    where not {{ is_own_import('source') }}

    union all

    select
        suppressions.email,
        suppressions.phone,
        suppressions.user_id,
        suppressions.email_hash,
        suppressions.phone_hash,
        suppressions.channel,
        coalesce(block_reasons.reason, 'unsubscribed') as statement,
        null as source,
        suppressions.suppressed_at as said_at,
        cast(null as timestamp) as said_at_utc
    from suppressions
    left join block_reasons on suppressions.reason = block_reasons.reason
    where not {{ is_own_import('suppressions.reason') }}
    {% for statement, column in [('opted_out', 'unsubscribed_at'), ('complaint', 'complained_at')] %}
    union all

    select
        email,
        null as phone,
        null as user_id,
        null as email_hash,
        null as phone_hash,
        'email' as channel,
        '{{ statement }}' as statement,
        null as source,
        {{ column }} as said_at,
        {{ column }}_utc as said_at_utc
    from messages
    where {{ column }} is not null
    {% endfor %}
),

-- what a partner lists as a hash says no to the address of ours that has it
hashed_keys as (
    select distinct
        case when key_type = 'mailbox' then 'email' else key_type end as address_type,
        key as address,
        {{ sha256('key') }} as hash
    from address_keys
),

-- a number without its country, or that cannot be dialled, says yes to nobody
per_address as (
    select
        'phone' as address_type,
        case when said.statement = 'opted_in' then phone_keys.phone_e164 else phone_keys.phone_key end as address,
        said.channel,
        said.statement,
        said.source,
        said.said_at,
        said.said_at_utc
    from said
    inner join phone_keys on said.phone = phone_keys.phone
    {% for address_type in ['email', 'user_id'] %}
    union all

    select
        '{{ address_type }}' as address_type,
        {{ address_type }} as address,
        channel,
        statement,
        source,
        said_at,
        said_at_utc
    from said
    {% endfor %}
    {%- for hash in ['email_hash', 'phone_hash'] %}
    union all

    select
        hashed_keys.address_type,
        hashed_keys.address,
        said.channel,
        said.statement,
        said.source,
        said.said_at,
        said.said_at_utc
    from said
    inner join hashed_keys on said.{{ hash }} = hashed_keys.hash
    where said.statement != 'opted_in'
    {% endfor %}
    union all

    select
        address_type,
        address,
        channel,
        'unsubscribed' as statement,
        null as source,
        null as said_at,
        null as said_at_utc
    from unreadable_noes

    union all

    -- remembered when the raw row that asked for it is gone
    select
        kind as address_type,
        pseudonym as address,
        null as channel,
        'erased' as statement,
        null as source,
        erased_at as said_at,
        null as said_at_utc
    from erasures
),

with_known_channel as (
    select
        per_address.*,
        channels.channel as known_channel
    from per_address
    left join channels on per_address.channel = channels.channel
    where per_address.address is not null
),

-- a no to an unnamed or unknown channel is a no to all, and so is an erasure; a yes is one to nothing
per_channel as (
    select
        with_known_channel.address_type,
        with_known_channel.address,
        channels.channel,
        with_known_channel.statement,
        with_known_channel.source,
        with_known_channel.said_at,
        with_known_channel.said_at_utc
    from with_known_channel
    inner join channels
        on
            with_known_channel.known_channel = channels.channel
            or with_known_channel.statement = 'erased'
            or (with_known_channel.statement != 'opted_in' and with_known_channel.known_channel is null)
)

select * from per_channel
