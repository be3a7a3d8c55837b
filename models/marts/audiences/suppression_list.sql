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

-- every address of an erased person, whichever of them the erasure named
of_erased_people as (
    select
        channels.channel,
        addresses.address_type,
        addresses.address,
        'erased' as reason,
        nullif(min(erased_people.erased_at), cast('0001-01-01' as timestamp)) as suppressed_at
    from addresses
    inner join erased_people on addresses.person_id = erased_people.person_id
    cross join channels
    group by channels.channel, addresses.address_type, addresses.address
),

suppressed as (
    select
        suppressions.channel,
        suppressions.address_type,
        suppressions.address,
        suppressions.reason,
        suppressions.suppressed_at
    from suppressions
    left join of_erased_people
        on
            suppressions.channel = of_erased_people.channel
            and suppressions.address_type = of_erased_people.address_type
            and suppressions.address = of_erased_people.address
    where of_erased_people.address is null

    union all

    select * from of_erased_people
),

unioned as (
    select * from suppressed

    union all

    select
        consent_states.channel,
        consent_states.address_type,
        consent_states.address,
        'opted_out' as reason,
        consent_states.changed_at as suppressed_at
    from consent_states
    left join suppressed
        on
            consent_states.channel = suppressed.channel
            and consent_states.address_type = suppressed.address_type
            and consent_states.address = suppressed.address
    where suppressed.address is null
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
    from unioned
)

select * from final
