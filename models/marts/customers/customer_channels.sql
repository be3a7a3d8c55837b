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

noes as (
    select * from {{ ref('int_person_noes') }}
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

-- under an address of one's own it is one's no; a bounce says nothing about the other addresses
noes_of_people as (
    select
        person_id,
        channel,
        reason,
        case when count(said_at) = count(*) then min(said_at) end as said_at
    from noes
    where people = 1 and reason != 'hard_bounce'
    group by person_id, channel, reason
),

-- and who shares an address with somebody who said no is not met there, nor by a no to the address itself
blocks as (
    select
        person_id,
        channel,
        reason,
        said_at
    from noes_of_people

    union all

    select
        targets.person_id,
        targets.channel,
        noes.reason,
        noes.said_at
    from targets
    inner join noes
        on
            targets.person_id = noes.person_id
            and targets.channel = noes.channel
            and targets.address_type = noes.address_type
            and targets.address = noes.address

    union all

    select
        targets.person_id,
        targets.channel,
        noes_of_people.reason,
        noes_of_people.said_at
    from targets
    inner join address_keys as own
        on
            targets.address_type = own.address_type
            and targets.address = own.address
            and own.people > 1
            and (own.key = own.address or own.key_type = 'mailbox')
    inner join address_keys as others on own.key_type = others.key_type and own.key = others.key
    inner join addresses on others.address_type = addresses.address_type and others.address = addresses.address
    inner join noes_of_people on addresses.person_id = noes_of_people.person_id and targets.channel = noes_of_people.channel
),

-- what has no time holds always, which is earlier than any time
reasons as (
    select
        person_id,
        channel,
        reason,
        case when count(said_at) = count(*) then min(said_at) end as said_at
    from blocks
    group by person_id, channel, reason
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

own_noes as (
    select
        noes_of_people.person_id,
        noes_of_people.channel,
        min(block_reasons.position) as position
    from noes_of_people
    left join block_reasons on noes_of_people.reason = block_reasons.reason
    group by noes_of_people.person_id, noes_of_people.channel
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
        suppressed.has_no,
        targets.is_account_closed,
        consented.opted_in_at,
        targets.address is not null as has_address,
        suppressed.position as suppression_position,
        own_noes.person_id is not null as has_own_no,
        own_noes.position as own_position
    from targets
    left join suppressed
        on targets.person_id = suppressed.person_id and targets.channel = suppressed.channel
    left join own_noes
        on targets.person_id = own_noes.person_id and targets.channel = own_noes.channel
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
        end as blocked_reason,
        case when judged.has_own_no then coalesce(own_reasons.reason, 'opted_out') end as own_no_reason,
        coalesce(
            block_reasons.reason,
            case
                when judged.has_no then 'opted_out'
                when judged.is_account_closed then 'account_closed'
                else judged.consent_status
            end
        ) as decided_by
    from judged
    left join block_reasons on judged.suppression_position = block_reasons.position
    left join block_reasons as own_reasons on judged.own_position = own_reasons.position
),

final as (
    select
        with_reason.person_id,
        with_reason.channel,
        with_reason.blocked_reason is null as can_contact,
        with_reason.consent_status,
        case when with_reason.consent_status = 'opted_in' then with_reason.opted_in_at end as consented_at,
        with_reason.blocked_reason,
        with_reason.own_no_reason,
        with_reason.decided_by,
        case when with_reason.decided_by = 'opted_in' then with_reason.opted_in_at else reasons.said_at end as decided_at
    from with_reason
    left join reasons
        on
            with_reason.person_id = reasons.person_id
            and with_reason.channel = reasons.channel
            and with_reason.decided_by = reasons.reason
)

select * from final
