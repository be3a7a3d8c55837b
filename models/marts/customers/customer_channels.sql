with people as (
    select * from {{ ref('int_person_facts') }}
),

profiles as (
    select * from {{ ref('int_profiles') }}
),

addresses as (
    select * from {{ ref('int_person_addresses') }}
),

suppressions as (
    select * from {{ ref('int_suppressions') }}
),

erased_people as (
    select * from {{ ref('int_erased_people') }}
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
            when 'email' then profiles.email
            when 'phone' then {{ normalised_phone('profiles.phone') }}
            when 'user_id' then profiles.app_user_id
        end as address,
        profiles.is_account_closed
    from people
    cross join channels
    inner join profiles on people.person_id = profiles.person_id
),

-- an erased person's address is written to nobody, whoever else has it
erased_addresses as (
    select distinct
        addresses.address_type,
        addresses.address
    from addresses
    inner join erased_people on addresses.person_id = erased_people.person_id
),

-- a suppression of any of the person's addresses blocks; a bounce says nothing about the other addresses
blocks as (
    select
        targets.person_id,
        targets.channel,
        suppressions.reason
    from targets
    inner join addresses on targets.person_id = addresses.person_id
    inner join suppressions
        on
            addresses.address_type = suppressions.address_type
            and addresses.address = suppressions.address
            and targets.channel = suppressions.channel
    where
        suppressions.reason != 'hard_bounce'
        or (targets.address_type = addresses.address_type and targets.address = addresses.address)

    union all

    select
        targets.person_id,
        targets.channel,
        'erased' as reason
    from targets
    inner join erased_addresses
        on targets.address_type = erased_addresses.address_type and targets.address = erased_addresses.address
),

suppressed as (
    select
        blocks.person_id,
        blocks.channel,
        min(block_reasons.position) as position
    from blocks
    inner join block_reasons on blocks.reason = block_reasons.reason
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

-- a yes must be given for the target address (or by the app user); a no under any address is a no
consented as (
    select
        person_id,
        channel,
        bool_or(status = 'opted_out') as has_no,
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
            when consented.has_no or targets.is_account_closed then 'opted_out'
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
