with users as (
    select * from {{ ref('base_app__users') }}
    where row_status = 'staged'
),

cleaned as (
    select
        -- ids
        user_id,
        customer_id,
        -- text
        {{ normalised_email('email') }} as email,
        default_city,
        default_region,
        upper(default_country) as default_country,
        -- timestamps
        created_at
    from users
)

select * from cleaned
