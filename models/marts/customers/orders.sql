with orders as (
    select * from {{ ref('int_orders') }}
),

numbered as (
    select
        *,
        cast(case when person_id is not null then row_number() over by_time end as bigint) as order_number,
        case
            when person_id is not null then {{ days_between('lag(order_date) over by_time', 'order_date') }}
        end as days_since_previous_order
    from orders
    window by_time as (
        partition by person_id
        order by
            ordered_at, {{ text_before_number('order_id') }}, {{ number_at_end('order_id') }} nulls last, order_id, source
    )
),

final as (
    select
        order_key,
        source,
        order_id,
        person_id,
        ordered_at,
        order_date,
        order_number,
        days_since_previous_order,
        order_number = 1 as is_first_order,
        case
            when order_number = 1 then 'new'
            when order_number > 1 then 'repeat'
            else 'unknown'
        end as order_type,
        order_channel,
        fulfilment_channel,
        coupon_code,
        gross_amount,
        discount_amount,
        refunded_amount,
        net_amount,
        is_over_refunded
    from numbered
)

select * from final
