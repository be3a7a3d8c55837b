-- every order of every source in the same columns, whether it counts or not
with shop_orders as (
    select * from {{ ref('stg_shop__orders') }}
),

file_orders as (
    select * from {{ ref('stg_orders_file__orders') }}
    where amount >= 0
),

retail_orders as (
    select * from {{ ref('stg_online_retail__orders') }}
),

order_statuses as (
    select * from {{ ref('order_statuses') }}
),

unioned as (
    select
        'shop' as source,
        order_id,
        coalesce('shop:customer:' || customer_id, 'shop:guest:' || email) as record_key,
        ordered_at,
        order_date,
        status,
        currency,
        gross_amount,
        discount_amount,
        order_channel,
        fulfilment_channel,
        coupon_code,
        is_test,
        false as refunds_by_status
    from shop_orders

    union all

    select
        'orders_file' as source,
        order_id,
        'orders_file:customer:' || customer_id as record_key,
        ordered_at,
        order_date,
        status,
        currency,
        amount as gross_amount,
        0 as discount_amount,
        null as order_channel,
        null as fulfilment_channel,
        null as coupon_code,
        false as is_test,
        true as refunds_by_status
    from file_orders

    union all

    select
        'online_retail' as source,
        order_id,
        'online_retail:customer:' || customer_id as record_key,
        ordered_at,
        order_date,
        null as status,
        '{{ var("reporting_currency") }}' as currency,
        gross_amount,
        0 as discount_amount,
        null as order_channel,
        null as fulfilment_channel,
        null as coupon_code,
        false as is_test,
        false as refunds_by_status
    from retail_orders
),

judged as (
    select
        unioned.*,
        not unioned.is_test
        and not coalesce(order_statuses.is_cancelled, false)
        {% if not var('count_free_orders') %}and unioned.gross_amount != 0{% endif %} as is_counted,
        unioned.refunds_by_status and coalesce(order_statuses.is_refunded, false) as is_refunded_by_status
    from unioned
    left join order_statuses on unioned.status = order_statuses.status
)

select * from judged
