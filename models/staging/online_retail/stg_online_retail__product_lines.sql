with lines as (
    select * from {{ ref('stg_online_retail__lines') }}
),

non_product_codes as (
    select * from {{ ref('non_product_codes') }}
    where not {{ var('online_retail_include_non_products') }}
),

product_lines as (
    select lines.*
    from lines
    where
        stock_code is null
        or not exists (
            select 1
            from non_product_codes
            where
                lines.stock_code = non_product_codes.code
                or (non_product_codes.is_prefix and starts_with(lines.stock_code, non_product_codes.code))
        )
)

select * from product_lines
