with suppressions as (
    {{ canonical_rows('esp', 'suppressions') }}
),

cleaned as (
    select
        -- ids
        source_system,
        user_id,
        -- text
        {{ email_key('email') }} as email,
        case when not {{ is_listed_hash('phone') }} then phone end as phone,
        {{ listed_hash('email') }} as email_hash,
        {{ listed_hash('phone') }} as phone_hash,
        lower(channel) as channel,
        lower(reason) as reason,
        -- timestamps
        suppressed_at
    from suppressions
)

select * from cleaned
