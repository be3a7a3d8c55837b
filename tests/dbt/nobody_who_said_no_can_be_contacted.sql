-- recomputed from what was said, not through the models that decide: no suppression and no opt-out without a later opt-in
with contactable as (
    select
        reach.person_id,
        reach.channel,
        addresses.address_type,
        addresses.address
    from {{ ref('customer_channels') }} as reach
    inner join {{ ref('int_person_addresses') }} as addresses on reach.person_id = addresses.person_id
    where reach.can_contact
),

statements as (
    select
        email,
        phone,
        user_id,
        channel,
        status = 'opted_in' as is_opt_in,
        changed_at_utc as said_at
    from {{ ref('stg_esp__consents') }}
    -- a yes of tomorrow is none yet
    where
        (coalesce(status, 'none') != 'opted_in' or changed_at < (select as_of.as_of_end from {{ ref('int_as_of') }} as as_of))
        and not {{ is_own_import('source') }}

    union all

    select
        email,
        phone,
        user_id,
        case when coalesce(reason, 'none') != 'erased' then channel end as channel,
        false as is_opt_in,
        null as said_at
    from {{ ref('stg_esp__suppressions') }}
    where
        coalesce(reason, 'none') != 'hard_bounce'
        and not {{ is_own_import('reason') }}

    union all

    select
        email,
        null as phone,
        null as user_id,
        'email' as channel,
        false as is_opt_in,
        case when complained_at is null then {{ wall_clock_to_utc('unsubscribed_at') }} end as said_at
    from {{ ref('stg_esp__messages') }}
    where unsubscribed_at is not null or complained_at is not null
),

-- one row per address: compared with three columns at once, everybody would be compared with everything
written as (
    select
        'phone' as address_type,
        phone_keys.phone_key as address,
        statements.channel,
        statements.is_opt_in,
        statements.said_at
    from statements
    inner join {{ ref('int_phone_keys') }} as phone_keys on statements.phone = phone_keys.phone and phone_keys.region = ''
    {%- for address_type in ['email', 'user_id'] %}

    union all

    select
        '{{ address_type }}' as address_type,
        {{ address_type }} as address,
        channel,
        is_opt_in,
        said_at
    from statements
    where {{ address_type }} is not null
    {%- endfor %}
),

-- of whom a no is sure to be, and what is an address by another name only: a number without its country says no yes
said as (
    select
        keys.address_type,
        keys.address,
        written.channel,
        written.is_opt_in,
        written.said_at
    from written
    inner join {{ ref('int_address_keys') }} as keys
        on written.address_type = keys.key_type and written.address = keys.key
    where (not written.is_opt_in and keys.people = 1) or (written.is_opt_in and keys.key = keys.address)
),

last_opt_ins as (
    select
        address_type,
        address,
        channel,
        max(said_at) as said_at
    from said
    where is_opt_in
    group by address_type, address, channel
),

-- a no to no channel, or to one that nobody knows, is a no to all; so is an erasure
noes as (
    select
        said.address_type,
        said.address,
        channels.channel,
        said.said_at
    from said
    left join {{ ref('channels') }} as channels on said.channel = channels.channel
    where not said.is_opt_in
)

select
    contactable.person_id,
    contactable.channel
from contactable
inner join noes
    on
        contactable.address_type = noes.address_type
        and contactable.address = noes.address
        and coalesce(noes.channel, contactable.channel) = contactable.channel
left join last_opt_ins
    on
        contactable.address_type = last_opt_ins.address_type
        and contactable.address = last_opt_ins.address
        and contactable.channel = last_opt_ins.channel
where not coalesce(last_opt_ins.said_at > noes.said_at, false)
