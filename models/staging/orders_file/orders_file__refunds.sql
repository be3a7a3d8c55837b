-- a refund with the id of an order lowers that order; any other lowers the customer's revenue on its own date
with refunds as (
    select * from {{ ref('base_orders_file__orders') }}
    where row_status = 'staged' and amount < 0
),

orders as (
    select * from {{ ref('orders_file__orders') }}
),

mapped as (
    select
        refunds.row_key as refund_id,
        orders.order_id,
        refunds.customer_id,
        refunds.currency,
        {{ money('-refunds.amount') }} as amount,
        refunds.ordered_at as refunded_at
    from refunds
    left join orders
        on
            refunds.order_id = orders.order_id
            and coalesce(refunds.customer_id = orders.customer_id, refunds.customer_id is null)
            and coalesce({{ currency_code('refunds.currency') }}, '{{ reporting_currency() }}')
            = coalesce({{ currency_code('orders.currency') }}, '{{ reporting_currency() }}')
)

select * from mapped
