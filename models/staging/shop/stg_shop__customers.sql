with customers as (
    select * from {{ ref('base_shop__customers') }}
    where row_status = 'staged'
),

cleaned as (
    select
        -- ids
        customer_id,
        referred_by_customer_id,
        -- text
        {{ normalised_email('email') }} as email,
        phone,
        first_name,
        last_name,
        upper(country) as country,
        region,
        city,
        lower(language) as language,
        time_zone,
        acquisition_channel,
        -- timestamps
        created_at,
        coalesce(updated_at, created_at) as updated_at,
        deleted_at
    from customers
)

select * from cleaned
