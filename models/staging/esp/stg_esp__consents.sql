with consents as (
    select * from {{ ref('base_esp__consents') }}
    where row_status = 'staged'
),

cleaned as (
    select
        -- ids
        user_id,
        -- text
        {{ normalised_email('email') }} as email,
        {{ normalised_phone('phone') }} as phone,
        lower(channel) as channel,
        coalesce(lower(status), 'unknown') as status,
        source,
        -- timestamps
        changed_at,
        changed_at_utc
    from consents
)

select * from cleaned
