with transactions as (
    select * from {{ ref('base_shopify__transaction') }}
    where row_status = 'staged' and lower(kind) = 'refund' and lower(status) = 'success'
),

loaded_refunds as (
    select * from {{ ref('base_shopify__refund') }}
    where row_status = 'staged'
),

orders as (
    select * from {{ ref('base_shopify__order') }}
    where row_status = 'staged'
),

exported_orders as (
    select * from {{ ref('base_shopify__orders_export') }}
    where row_status = 'staged' and id is not null
),

-- money went back in the currency that the customer saw; the order, in the shop's: at the rate of the order, which leaves 0
paid_back as (
    select
        -- ids
        transactions.id as refund_id,
        transactions.order_id,
        -- numerics
        case
            when upper(transactions.currency) != upper(orders.currency)
                then {{ money_share('transactions.amount', 'orders.total_price', 'orders.total_price_presented') }}
            else transactions.amount
        end as amount,
        -- timestamps
        coalesce(
            loaded_refunds.processed_at, loaded_refunds.created_at, transactions.processed_at, transactions.created_at
        ) as refunded_at
    from transactions
    left join loaded_refunds on transactions.refund_id = loaded_refunds.id
    left join orders on transactions.order_id = orders.id
),

-- the export has one amount per order and no day: that of the last change that it knows of
from_export as (
    select
        -- ids
        replace(id, '''', '') as refund_id,
        replace(id, '''', '') as order_id,
        -- numerics
        refunded_amount as amount,
        -- timestamps
        {{ latest_known('created_at', ['paid_at', 'fulfilled_at', 'cancelled_at']) }} as refunded_at
    from exported_orders
    where refunded_amount != 0
),

unioned as (
    select * from paid_back
    union all
    select * from from_export
)

select * from unioned
