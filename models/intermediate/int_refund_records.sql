-- every refund of every source; one that names no order lowers only the customer's revenue
with shop_refunds as (
    select * from {{ ref('stg_shop__refunds') }}
),

file_refunds as (
    select * from {{ ref('stg_orders_file__orders') }}
    where amount < 0
),

retail_refunds as (
    select * from {{ ref('stg_online_retail__refunds') }}
),

unioned as (
    select
        'shop' as source,
        order_id,
        null as record_key,
        refund_date,
        null as currency,
        amount
    from shop_refunds

    union all

    select
        'orders_file' as source,
        null as order_id,
        'orders_file:customer:' || customer_id as record_key,
        order_date as refund_date,
        currency,
        -amount as amount
    from file_refunds

    union all

    select
        'online_retail' as source,
        null as order_id,
        'online_retail:customer:' || customer_id as record_key,
        refund_date,
        '{{ var("reporting_currency") }}' as currency,
        amount
    from retail_refunds
)

select * from unioned
