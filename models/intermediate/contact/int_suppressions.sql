-- address × channel that must not be contacted × reason, with the reason's own time; each blocks whatever its date
with statements as (
    select * from {{ ref('int_statements') }}
    where statement not in ('opted_in', 'opted_out')
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

unioned as (
    select
        address_type,
        address,
        channel,
        statement as reason,
        said_at
    from statements

    union all

    -- every address of an erased person, whichever of them the erasure named
    select
        addresses.address_type,
        addresses.address,
        channels.channel,
        'erased' as reason,
        nullif(erased_people.erased_at, cast('0001-01-01' as timestamp)) as said_at
    from addresses
    inner join erased_people on addresses.person_id = erased_people.person_id
    cross join channels
),

-- what has no time holds always, which is earlier than any time
final as (
    select
        address_type,
        address,
        channel,
        reason,
        case when count(said_at) = count(*) then min(said_at) end as suppressed_at
    from unioned
    group by address_type, address, channel, reason
)

select * from final
