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
        phone,
        lower(channel) as channel,
        lower(reason) as reason,
        -- timestamps
        suppressed_at
    from suppressions
)

select * from cleaned
