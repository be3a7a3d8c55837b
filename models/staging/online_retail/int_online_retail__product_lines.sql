with lines as (
    select * from {{ ref('int_online_retail__lines') }}
),

non_product_codes as (
    select * from {{ ref('non_product_codes') }}
    where not {{ var('online_retail_include_non_products') }}
),

non_products as (
    select distinct lines.stock_code
    from lines
    inner join non_product_codes
        on
            lines.stock_code = non_product_codes.code
            or (non_product_codes.is_prefix and left(lines.stock_code, length(non_product_codes.code)) = non_product_codes.code)
),

product_lines as (
    select
        lines.invoice,
        lines.stock_code,
        lines.description,
        lines.country,
        lines.customer_id,
        lines.quantity,
        lines.price,
        lines.invoiced_at
    from lines
    left join non_products on lines.stock_code = non_products.stock_code
    where non_products.stock_code is null
)

select * from product_lines
