with suppressions as (
    select * from {{ ref('base_esp__suppressions') }}
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
        lower(reason) as reason,
        -- timestamps
        suppressed_at
    from suppressions
)

select * from cleaned
