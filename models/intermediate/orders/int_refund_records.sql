-- every refund of every system; one that names no order lowers only the customer's revenue
with refunds as (
    select * from {{ ref('stg_shop__refunds') }}
),

keyed as (
    select
        source_system as source,
        order_id,
        case when order_id is null then customer_id end as customer_id,
        case when order_id is null then source_system || ':customer:' || customer_id end as record_key,
        refund_date,
        currency,
        amount
    from refunds
)

select * from keyed
