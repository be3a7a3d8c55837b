with product_lines as (
    select * from {{ ref('int_online_retail__product_lines') }}
),

invoices as (
    select
        -- ids
        invoice as order_id,
        max(customer_id) as customer_id,
        -- numerics
        {{ money('sum(cast(quantity as decimal(18, 0)) * cast(price as decimal(19, 4)))') }} as gross_amount,
        -- timestamps
        min(invoiced_at) as ordered_at
    from product_lines
    where invoice not like 'C%' and quantity > 0 and price > 0
    group by invoice
)

select * from invoices
