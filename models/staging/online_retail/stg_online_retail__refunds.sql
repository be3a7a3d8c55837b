-- a credit note names no order: it lowers the customer's revenue on its own date
with product_lines as (
    select * from {{ ref('stg_online_retail__product_lines') }}
),

credit_notes as (
    select
        -- ids
        invoice as refund_id,
        max(customer_id) as customer_id,
        -- numerics
        {{ money('-sum(quantity * price)') }} as amount,
        -- timestamps
        min(invoiced_at) as refunded_at,
        cast(min(invoiced_at) as date) as refund_date
    from product_lines
    where starts_with(invoice, 'C')
    group by invoice
)

select * from credit_notes
