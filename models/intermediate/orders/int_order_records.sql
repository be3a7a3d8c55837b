-- every order of every system in the same columns, whether it counts or not
with orders as (
    select * from {{ ref('stg_shop__orders') }}
),

order_statuses as (
    select * from {{ ref('order_statuses') }}
),

keyed as (
    select
        *,
        {{ email_key('email') }} as email_key
    from orders
),

judged as (
    select
        keyed.source_system as source,
        keyed.order_id,
        keyed.customer_id,
        keyed.email,
        keyed.email_key,
        keyed.phone,
        keyed.customer_name,
        coalesce(
            keyed.source_system || ':customer:' || keyed.customer_id, keyed.source_system || ':guest:' || keyed.email_key
        ) as record_key,
        keyed.ordered_at,
        keyed.order_date,
        keyed.status,
        keyed.currency,
        keyed.gross_amount,
        keyed.discount_amount,
        keyed.order_channel,
        keyed.fulfilment_channel,
        keyed.coupon_code,
        keyed.is_test,
        not keyed.is_test
        and not coalesce(own.is_cancelled, general.is_cancelled, false)
        {% if not var('count_free_orders') %}and keyed.gross_amount != 0{% endif %} as is_counted,
        keyed.refunds_by_status and coalesce(own.is_refunded, general.is_refunded, false) as is_refunded_by_status
    from keyed
    left join order_statuses as own on keyed.source_system = own.source_system and keyed.status = own.status
    left join order_statuses as general on general.source_system is null and keyed.status = general.status
)

select * from judged
