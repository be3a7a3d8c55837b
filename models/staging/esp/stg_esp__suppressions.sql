with suppressions as (
    {{ canonical_rows('esp', 'suppressions') }}
),

cleaned as (
    select
        -- ids
        source_system,
        user_id,
        -- text
        {{ normalised_email('email') }} as email,
        {{ normalised_phone('phone') }} as phone,
        lower(channel) as channel,
        lower(reason) as reason,
        -- timestamps
        suppressed_at
    from suppressions
)

select * from cleaned
