with orders as (
    {{ canonical_rows('shop', 'orders') }}
),

cleaned as (
    select
        -- ids
        source_system,
        order_id,
        customer_id,
        -- text
        {{ written_email('email') }} as email,
        phone,
        customer_name,
        lower(status) as status,
        coalesce({{ currency_code('currency') }}, '{{ reporting_currency() }}') as currency,
        order_channel,
        fulfilment_channel,
        coupon_code,
        -- numerics
        gross_amount,
        coalesce(discount_amount, 0) as discount_amount,
        -- booleans
        coalesce(is_test, false) as is_test,
        coalesce(refunds_by_status, false) as refunds_by_status,
        -- timestamps
        ordered_at,
        cast(ordered_at as date) as order_date,
        updated_at
    from orders
)

select * from cleaned
