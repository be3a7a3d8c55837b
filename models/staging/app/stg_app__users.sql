with users as (
    {{ canonical_rows('app', 'users') }}
),

cleaned as (
    select
        -- ids
        source_system,
        user_id,
        customer_id,
        -- text
        {{ written_email('email') }} as email,
        default_city,
        default_region,
        upper(default_country) as default_country,
        -- timestamps
        created_at
    from users
)

select * from cleaned
