with consents as (
    {{ canonical_rows('esp', 'consents') }}
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
        coalesce(lower(status), 'unknown') as status,
        source,
        -- timestamps
        changed_at,
        coalesce(changed_at_utc, {{ wall_clock_to_utc('changed_at') }}) as changed_at_utc
    from consents
)

select * from cleaned
