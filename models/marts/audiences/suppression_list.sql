with suppressions as (
    select * from {{ ref('int_suppressions') }}
),

consent_states as (
    select * from {{ ref('int_consent_states') }}
    where status = 'opted_out'
),

erased_people as (
    select * from {{ ref('int_erased_people') }}
),

addresses as (
    select * from {{ ref('int_person_addresses') }}
),

channels as (
    select * from {{ ref('channels') }}
),

block_reasons as (
    select * from {{ ref('block_reasons') }}
),

unioned as (
    select
        channel,
        address_type,
        address,
        reason,
        suppressed_at
    from suppressions

    union all

    -- every address of an erased person, whichever of them the erasure named
    select
        channels.channel,
        addresses.address_type,
        addresses.address,
        'erased' as reason,
        nullif(erased_people.erased_at, cast('0001-01-01' as timestamp)) as suppressed_at
    from addresses
    inner join erased_people on addresses.person_id = erased_people.person_id
    cross join channels

    union all

    select
        channel,
        address_type,
        address,
        'opted_out' as reason,
        changed_at as suppressed_at
    from consent_states
),

-- the strongest reason with its own time; an opt-out is no suppression and comes last
ranked as (
    select
        unioned.*,
        row_number() over (
            partition by unioned.channel, unioned.address_type, unioned.address
            order by coalesce(block_reasons.position, 99), unioned.suppressed_at nulls first
        ) as strength
    from unioned
    left join block_reasons on unioned.reason = block_reasons.reason
),

-- of the erased only the hash is kept: enough never to contact them again
final as (
    select
        channel,
        address_type,
        case when reason != 'erased' then address end as address,
        {{ sha256('address') }} as address_sha256,
        reason,
        suppressed_at
    from ranked
    where strength = 1
)

select * from final
