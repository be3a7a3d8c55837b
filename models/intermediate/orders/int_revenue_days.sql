-- person × day on which net revenue changed, by an order or a refund; the changes add up to int_person_facts.net_revenue
with orders as (
    select * from {{ ref('int_orders') }}
    where person_id is not null
),

refund_records as (
    select * from {{ ref('int_refund_records') }}
),

identity_map as (
    select * from {{ ref('int_identity_map') }}
),

exchange_rates as (
    select * from {{ ref('int_exchange_rates') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

order_refunds as (
    select
        refund_records.source,
        refund_records.order_id,
        refund_records.refund_date,
        sum(refund_records.amount) as amount
    from refund_records
    inner join as_of on refund_records.refund_date <= as_of.as_of_date
    where refund_records.order_id is not null
    group by refund_records.source, refund_records.order_id, refund_records.refund_date
),

with_refunds as (
    select
        orders.order_key,
        orders.person_id,
        orders.gross_amount - orders.discount_amount as sold_amount,
        orders.sold_in_currency,
        orders.exchange_rate,
        order_refunds.refund_date,
        greatest(orders.order_date, order_refunds.refund_date) as change_date,
        sum(order_refunds.amount) over (partition by orders.order_key order by order_refunds.refund_date)
            as refunded_in_currency
    from orders
    inner join order_refunds on orders.source = order_refunds.source and orders.order_id = order_refunds.order_id
    where not orders.is_refunded_by_status
),

-- converted as int_orders converts, so that each day's sum is what a build of that day would say
refunded_so_far as (
    select
        order_key,
        person_id,
        change_date,
        refund_date,
        sold_amount - {{ money_times('sold_in_currency - refunded_in_currency', 'exchange_rate') }} as amount_so_far
    from with_refunds

    union all

    select
        order_key,
        person_id,
        order_date as change_date,
        order_date as refund_date,
        refunded_amount as amount_so_far
    from orders
    where is_refunded_by_status
),

changes as (
    select
        person_id,
        order_date as change_date,
        1 as orders_count,
        order_date,
        net_amount + refunded_amount as net_change
    from orders

    union all

    select
        person_id,
        change_date,
        0 as orders_count,
        null as order_date,
        coalesce(lag(amount_so_far) over (partition by order_key order by refund_date), 0) - amount_so_far as net_change
    from refunded_so_far

    union all

    select
        identity_map.person_id,
        refund_records.refund_date as change_date,
        0 as orders_count,
        null as order_date,
        -{{ money_times('refund_records.amount', 'exchange_rates.rate') }} as net_change
    from refund_records
    inner join identity_map on refund_records.record_key = identity_map.record_key
    inner join as_of on refund_records.refund_date <= as_of.as_of_date
    inner join exchange_rates
        on
            refund_records.currency = exchange_rates.currency
            and refund_records.refund_date >= exchange_rates.valid_from
            and refund_records.refund_date < exchange_rates.valid_until
    where refund_records.order_id is null
),

revenue_days as (
    select
        person_id,
        change_date,
        cast(sum(orders_count) as bigint) as orders_count,
        max(order_date) as last_order_date,
        {{ money('sum(net_change)') }} as net_change
    from changes
    group by person_id, change_date
)

select * from revenue_days
