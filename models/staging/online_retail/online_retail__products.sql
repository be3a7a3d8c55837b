-- a product has the name of its latest line
with product_lines as (
    select * from {{ ref('int_online_retail__product_lines') }}
    where stock_code is not null
),

products as (
    select
        stock_code as product_id,
        max_by(description, cast(invoiced_at as string) || ' ' || description) as product_name
    from product_lines
    group by stock_code
)

select * from products
