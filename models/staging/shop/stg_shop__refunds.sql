with refunds as (
    select * from {{ ref('base_shop__refunds') }}
    where row_status = 'staged'
),

cleaned as (
    select
        -- ids
        refund_id,
        order_id,
        -- numerics
        amount,
        -- timestamps
        refunded_at,
        cast(refunded_at as date) as refund_date
    from refunds
)

select * from cleaned
