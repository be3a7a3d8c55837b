-- person × day with a counted order; a gap is the days between distinct order days
with orders as (
    select * from {{ ref('int_orders') }}
    where person_id is not null
),

order_days as (
    select distinct
        person_id,
        order_date
    from orders
),

with_gaps as (
    select
        person_id,
        order_date,
        {{ days_between('lag(order_date) over (partition by person_id order by order_date)', 'order_date') }} as gap_days
    from order_days
)

select * from with_gaps
