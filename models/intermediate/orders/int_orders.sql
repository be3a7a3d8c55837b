-- counted orders up to as_of_date, with their person and in the reporting currency
with order_records as (
    select * from {{ ref('int_order_records') }}
    where is_counted
),

refund_records as (
    select * from {{ ref('int_refund_records') }}
    where order_id is not null
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

refunded as (
    select
        refund_records.source,
        refund_records.order_id,
        sum(refund_records.amount) as amount
    from refund_records
    inner join as_of on refund_records.refund_date <= as_of.as_of_date
    group by refund_records.source, refund_records.order_id
),

in_source_currency as (
    select
        order_records.*,
        {{ money('order_records.gross_amount - order_records.discount_amount') }} as sold_amount,
        case
            when order_records.is_refunded_by_status then order_records.gross_amount - order_records.discount_amount
            else coalesce(refunded.amount, 0)
        end as refunded_amount
    from order_records
    inner join as_of on order_records.order_date <= as_of.as_of_date
    left join refunded
        on order_records.source = refunded.source and order_records.order_id = refunded.order_id
),

-- each of the three is rounded once and the rest are their differences: a full refund leaves exactly 0
converted as (
    select
        in_source_currency.source,
        in_source_currency.order_id,
        in_source_currency.record_key,
        in_source_currency.ordered_at,
        in_source_currency.order_date,
        in_source_currency.order_channel,
        in_source_currency.fulfilment_channel,
        in_source_currency.coupon_code,
        in_source_currency.sold_amount as sold_in_currency,
        in_source_currency.is_refunded_by_status,
        in_source_currency.sold_amount < in_source_currency.refunded_amount as is_over_refunded,
        exchange_rates.rate as exchange_rate,
        {{ money_times('in_source_currency.gross_amount', 'exchange_rates.rate') }} as gross_amount,
        {{ money_times('in_source_currency.sold_amount', 'exchange_rates.rate') }} as sold_amount,
        {{ money_times('in_source_currency.sold_amount - in_source_currency.refunded_amount', 'exchange_rates.rate') }}
            as net_amount
    from in_source_currency
    inner join exchange_rates
        on
            in_source_currency.currency = exchange_rates.currency
            and in_source_currency.order_date >= exchange_rates.valid_from
            and in_source_currency.order_date < exchange_rates.valid_until
),

with_person as (
    select
        converted.source || ':' || converted.order_id as order_key,
        converted.source,
        converted.order_id,
        identity_map.person_id,
        converted.ordered_at,
        converted.order_date,
        converted.order_channel,
        converted.fulfilment_channel,
        converted.coupon_code,
        converted.sold_in_currency,
        converted.exchange_rate,
        converted.is_refunded_by_status,
        converted.gross_amount,
        {{ money('converted.gross_amount - converted.sold_amount') }} as discount_amount,
        {{ money('converted.sold_amount - converted.net_amount') }} as refunded_amount,
        converted.net_amount,
        converted.is_over_refunded
    from converted
    left join identity_map on converted.record_key = identity_map.record_key
)

select * from with_person
