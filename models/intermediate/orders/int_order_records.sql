-- every order of every system in the same columns, whether it counts or not
with orders as (
    select * from {{ ref('stg_shop__orders') }}
),

order_statuses as (
    select * from {{ ref('order_statuses') }}
),

judged as (
    select
        orders.source_system as source,
        orders.order_id,
        orders.customer_id,
        orders.email,
        orders.phone,
        orders.customer_name,
        coalesce(
            orders.source_system || ':customer:' || orders.customer_id, orders.source_system || ':guest:' || orders.email
        ) as record_key,
        orders.ordered_at,
        orders.order_date,
        orders.status,
        orders.currency,
        orders.gross_amount,
        orders.discount_amount,
        orders.order_channel,
        orders.fulfilment_channel,
        orders.coupon_code,
        orders.is_test,
        not orders.is_test
        and not coalesce(own.is_cancelled, general.is_cancelled, false)
        {% if not var('count_free_orders') %}and orders.gross_amount != 0{% endif %} as is_counted,
        orders.refunds_by_status and coalesce(own.is_refunded, general.is_refunded, false) as is_refunded_by_status
    from orders
    left join order_statuses as own on orders.source_system = own.source_system and orders.status = own.status
    left join order_statuses as general on general.source_system is null and orders.status = general.status
)

select * from judged
