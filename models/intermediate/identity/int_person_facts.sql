-- what counted orders, refunds and activity say of a person, up to as_of_date
with identity_map as (
    select * from {{ ref('int_identity_map') }}
),

orders as (
    select * from {{ ref('int_orders') }}
    where person_id is not null
),

refund_records as (
    select * from {{ ref('int_refund_records') }}
    where order_id is null
),

activity_days as (
    select * from {{ ref('int_activity_days') }}
),

exchange_rates as (
    select * from {{ ref('int_exchange_rates') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

records as (
    select
        person_id,
        min(created_at) as created_at
    from identity_map
    group by person_id
),

order_facts as (
    select
        person_id,
        count(*) as orders_count,
        min(ordered_at) as first_ordered_at,
        min(order_date) as first_order_date,
        max(order_date) as last_order_date,
        sum(gross_amount) as gross_revenue,
        sum(net_amount) as net_revenue
    from orders
    group by person_id
),

refund_facts as (
    select
        identity_map.person_id,
        sum({{ money_times('refund_records.amount', 'exchange_rates.rate') }}) as refunded_without_order
    from refund_records
    inner join identity_map on refund_records.record_key = identity_map.record_key
    inner join as_of on refund_records.refund_date <= as_of.as_of_date
    inner join exchange_rates
        on
            refund_records.currency = exchange_rates.currency
            and refund_records.refund_date >= exchange_rates.valid_from
            and refund_records.refund_date < exchange_rates.valid_until
    group by identity_map.person_id
),

activity_facts as (
    select
        person_id,
        min(first_activity_at) as first_activity_at,
        max(activity_date) as last_activity_date
    from activity_days
    group by person_id
),

joined as (
    select
        records.person_id,
        least(
            records.created_at,
            coalesce(order_facts.first_ordered_at, records.created_at),
            coalesce(activity_facts.first_activity_at, records.created_at)
        ) as first_seen_at,
        coalesce(order_facts.orders_count, 0) as orders_count,
        order_facts.first_order_date,
        order_facts.last_order_date,
        {{ days_between('order_facts.last_order_date', 'as_of.as_of_date') }} as recency_days,
        {{ money('coalesce(order_facts.gross_revenue, 0)') }} as gross_revenue,
        {{ money('coalesce(order_facts.net_revenue, 0) - coalesce(refund_facts.refunded_without_order, 0)') }}
            as net_revenue,
        activity_facts.last_activity_date,
        coalesce(activity_facts.last_activity_date >= as_of.active_since, false) as is_active_30d
    from records
    cross join as_of
    left join order_facts on records.person_id = order_facts.person_id
    left join refund_facts on records.person_id = refund_facts.person_id
    left join activity_facts on records.person_id = activity_facts.person_id
),

seen_by_then as (
    select joined.*
    from joined
    inner join as_of on joined.first_seen_at < as_of.as_of_end
)

select * from seen_by_then
