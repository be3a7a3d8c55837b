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
        phone,
        lower(channel) as channel,
        coalesce(lower(status), 'unknown') as status,
        source,
        -- timestamps
        changed_at,
        coalesce(changed_at_utc, {{ wall_clock_to_utc('changed_at') }}) as changed_at_utc
    from consents
)

select * from cleaned
