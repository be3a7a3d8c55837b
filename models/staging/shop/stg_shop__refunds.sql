with refunds as (
    {{ canonical_rows('shop', 'refunds') }}
),

cleaned as (
    select
        -- ids
        source_system,
        refund_id,
        order_id,
        customer_id,
        -- text
        coalesce({{ currency_code('currency') }}, '{{ reporting_currency() }}') as currency,
        -- numerics
        amount,
        -- timestamps
        refunded_at,
        cast(refunded_at as date) as refund_date
    from refunds
)

select * from cleaned
