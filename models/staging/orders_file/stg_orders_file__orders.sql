with orders as (
    select * from {{ ref('base_orders_file__orders') }}
    where row_status = 'staged'
),

cleaned as (
    select
        -- ids
        row_key as order_id,
        customer_id,
        -- text
        lower(status) as status,
        coalesce(upper(currency), '{{ var("reporting_currency") }}') as currency,
        -- numerics
        amount,
        -- timestamps
        ordered_at,
        cast(ordered_at as date) as order_date
    from orders
)

select * from cleaned
