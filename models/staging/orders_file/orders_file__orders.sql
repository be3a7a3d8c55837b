-- a negative amount is a refund, see orders_file__refunds
with orders as (
    select * from {{ ref('base_orders_file__orders') }}
    where row_status = 'staged' and amount >= 0
),

mapped as (
    select
        row_key as order_id,
        customer_id,
        status,
        currency,
        amount as gross_amount,
        true as refunds_by_status,
        ordered_at
    from orders
)

select * from mapped
