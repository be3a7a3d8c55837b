with suppressions as (
    select * from {{ ref('int_suppressions') }}
),

consent_states as (
    select * from {{ ref('int_consent_states') }}
    where status = 'opted_out'
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

    select
        consent_states.channel,
        consent_states.address_type,
        consent_states.address,
        'opted_out' as reason,
        consent_states.changed_at as suppressed_at
    from consent_states
    left join suppressions
        on
            consent_states.channel = suppressions.channel
            and consent_states.address_type = suppressions.address_type
            and consent_states.address = suppressions.address
    where suppressions.address is null
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
