-- equal products at equal prices are one line of an invoice
with product_lines as (
    select * from {{ ref('int_online_retail__product_lines') }}
    where stock_code is not null and invoice not like 'C%' and quantity > 0 and price > 0
),

items as (
    select
        invoice as order_id,
        cast(row_number() over (partition by invoice order by stock_code, price) as bigint) as line_number,
        stock_code as product_id,
        cast(sum(quantity) as bigint) as quantity,
        price as unit_price
    from product_lines
    group by invoice, stock_code, price
)

select * from items
