with people as (
    select * from {{ ref('int_person_facts') }}
),

profiles as (
    select * from {{ ref('int_profiles') }}
),

phone_keys as (
    select * from {{ ref('int_phone_keys') }}
),

addresses as (
    select * from {{ ref('int_person_addresses') }}
),

address_keys as (
    select * from {{ ref('int_address_keys') }}
),

suppressions as (
    select * from {{ ref('int_suppressions') }}
),

consent_states as (
    select * from {{ ref('int_consent_states') }}
),

channels as (
    select * from {{ ref('channels') }}
),

block_reasons as (
    select * from {{ ref('block_reasons') }}
),

-- the one address that a message on the channel would go to
targets as (
    select
        people.person_id,
        channels.channel,
        channels.address_type,
        case channels.address_type
            when 'email' then profiles.email_key
            when 'phone' then phone_keys.phone_e164
            when 'user_id' then profiles.app_user_id
        end as address,
        profiles.is_account_closed
    from people
    cross join channels
    inner join profiles on people.person_id = profiles.person_id
    left join phone_keys on profiles.phone = phone_keys.phone and profiles.phone_region = phone_keys.region
),

person_keys as (
    select
        addresses.person_id,
        address_keys.address_type,
        address_keys.address,
        address_keys.key_type,
        address_keys.key,
        address_keys.people
    from addresses
    inner join address_keys
        on addresses.address_type = address_keys.address_type and addresses.address = address_keys.address
),

said_no as (
    select
        address_type,
        address,
        channel,
        reason,
        cast(null as timestamp) as said_at_utc
    from suppressions

    union all

    select
        address_type,
        address,
        channel,
        'opted_out' as reason,
        changed_at_utc as said_at_utc
    from consent_states
    where status = 'opted_out'
),

-- a no to one spelling of a mailbox is a no to it
noes as (
    select
        address_type as key_type,
        address as key,
        channel,
        reason,
        said_at_utc
    from said_no

    union all

    select
        'mailbox' as key_type,
        {{ mailbox_key('address') }} as key,
        channel,
        reason,
        said_at_utc
    from said_no
    where address_type = 'email' and {{ is_aliased('address') }}
),

met as (
    select
        person_keys.*,
        noes.channel,
        noes.reason
    from person_keys
    inner join noes on person_keys.key_type = noes.key_type and person_keys.key = noes.key
    -- an opt-out by a number without its country is followed by a yes to the number with it
    left join consent_states as later_yeses
        on
            person_keys.key_type = 'phone'
            and person_keys.key != person_keys.address
            and later_yeses.address_type = 'phone'
            and later_yeses.address = person_keys.address
            and later_yeses.channel = noes.channel
            and later_yeses.status = 'opted_in'
            and later_yeses.changed_at_utc > noes.said_at_utc
    where later_yeses.address is null
),

-- under an address of one's own it is one's no; a bounce says nothing about the other addresses
noes_of_people as (
    select distinct
        person_id,
        channel,
        reason
    from met
    where people = 1 and reason != 'hard_bounce'
),

-- and who shares an address with somebody who said no is not met there, nor by a no to the address itself
blocks as (
    select
        person_id,
        channel,
        reason
    from noes_of_people

    union all

    select
        targets.person_id,
        targets.channel,
        met.reason
    from targets
    inner join met
        on
            targets.person_id = met.person_id
            and targets.channel = met.channel
            and targets.address_type = met.address_type
            and targets.address = met.address

    union all

    select
        targets.person_id,
        targets.channel,
        noes_of_people.reason
    from targets
    inner join person_keys
        on
            targets.person_id = person_keys.person_id
            and targets.address_type = person_keys.address_type
            and targets.address = person_keys.address
            and person_keys.people > 1
            and (person_keys.key = person_keys.address or person_keys.key_type = 'mailbox')
    inner join person_keys as others
        on person_keys.key_type = others.key_type and person_keys.key = others.key
    inner join noes_of_people on others.person_id = noes_of_people.person_id and targets.channel = noes_of_people.channel
),

suppressed as (
    select
        blocks.person_id,
        blocks.channel,
        bool_or(blocks.reason = 'opted_out') as has_no,
        min(block_reasons.position) as position
    from blocks
    left join block_reasons on blocks.reason = block_reasons.reason
    group by blocks.person_id, blocks.channel
),

statements as (
    select
        targets.person_id,
        targets.channel,
        consent_states.status,
        consent_states.changed_at,
        addresses.address_type = targets.address_type and addresses.address = targets.address as is_of_target,
        addresses.address_type = 'user_id' as is_of_user
    from targets
    inner join addresses on targets.person_id = addresses.person_id
    inner join consent_states
        on
            addresses.address_type = consent_states.address_type
            and addresses.address = consent_states.address
            and targets.channel = consent_states.channel
),

-- a yes must be given for the target address, or by the app user
consented as (
    select
        person_id,
        channel,
        bool_or(status = 'opted_in' and (is_of_target or is_of_user)) as has_yes,
        coalesce(
            max(case when status = 'opted_in' and is_of_target then changed_at end),
            max(case when status = 'opted_in' and is_of_user then changed_at end)
        ) as opted_in_at
    from statements
    group by person_id, channel
),

judged as (
    select
        targets.person_id,
        targets.channel,
        case
            when suppressed.has_no or targets.is_account_closed then 'opted_out'
            when consented.has_yes then 'opted_in'
        end as consent_status,
        consented.opted_in_at,
        targets.address is not null as has_address,
        suppressed.position as suppression_position
    from targets
    left join suppressed
        on targets.person_id = suppressed.person_id and targets.channel = suppressed.channel
    left join consented
        on targets.person_id = consented.person_id and targets.channel = consented.channel
),

with_reason as (
    select
        judged.*,
        case
            when judged.suppression_position is not null then block_reasons.reason
            when judged.consent_status is null or judged.consent_status != 'opted_in' then 'no_consent'
            when not judged.has_address then 'no_address'
        end as blocked_reason
    from judged
    left join block_reasons on judged.suppression_position = block_reasons.position
),

final as (
    select
        person_id,
        channel,
        blocked_reason is null as can_contact,
        consent_status,
        case when consent_status = 'opted_in' then opted_in_at end as consented_at,
        blocked_reason
    from with_reason
)

select * from final
