with customers as (
    {{ canonical_rows('shop', 'customers') }}
),

cleaned as (
    select
        -- ids
        source_system,
        customer_id,
        referred_by_customer_id,
        -- text
        {{ written_email('email') }} as email,
        phone,
        first_name,
        last_name,
        upper(country) as country,
        region,
        city,
        postal_code,
        gender,
        lower(language) as language,
        time_zone,
        acquisition_channel,
        -- timestamps
        birth_date,
        created_at,
        coalesce(updated_at, created_at) as updated_at,
        deleted_at
    from customers
)

select * from cleaned
