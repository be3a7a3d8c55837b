-- a refund of the file names no order: it lowers the customer's revenue on its own date
with refunds as (
    select * from {{ ref('base_orders_file__orders') }}
    where row_status = 'staged' and amount < 0
),

mapped as (
    select
        row_key as refund_id,
        customer_id,
        currency,
        {{ money('-amount') }} as amount,
        ordered_at as refunded_at
    from refunds
)

select * from mapped
