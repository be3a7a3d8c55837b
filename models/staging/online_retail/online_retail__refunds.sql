-- a credit note names no order: it lowers the customer's revenue on its own date
with product_lines as (
    select * from {{ ref('int_online_retail__product_lines') }}
),

credit_notes as (
    select
        -- ids
        invoice as refund_id,
        max(customer_id) as customer_id,
        -- numerics
        {{ money('-sum(cast(quantity as decimal(18, 0)) * cast(price as decimal(19, 4)))') }} as amount,
        -- timestamps
        min(invoiced_at) as refunded_at
    from product_lines
    where invoice like 'C%'
    group by invoice
)

select * from credit_notes
