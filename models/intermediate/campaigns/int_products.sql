-- every product that a source lists or has sold
with shop_products as (
    select * from {{ ref('stg_shop__products') }}
),

shop_items as (
    select * from {{ ref('stg_shop__order_items') }}
    where product_id is not null
),

retail_lines as (
    select * from {{ ref('stg_online_retail__product_lines') }}
    where stock_code is not null
),

unioned as (
    select
        'shop' as source,
        product_id,
        product_name,
        category,
        replacement_cycle_days
    from shop_products

    union all

    -- sold but not listed
    select distinct
        'shop' as source,
        product_id,
        cast(null as string) as product_name,
        cast(null as string) as category,
        cast(null as bigint) as replacement_cycle_days
    from shop_items
    where product_id not in (select shop_products.product_id from shop_products)

    union all

    select
        'online_retail' as source,
        stock_code as product_id,
        max_by(description, cast(invoiced_at as string) || ' ' || description) as product_name,
        cast(null as string) as category,
        cast(null as bigint) as replacement_cycle_days
    from retail_lines
    group by stock_code
),

keyed as (
    select
        source || ':' || product_id as product_key,
        source,
        product_id,
        coalesce(product_name, product_id) as product_name,
        category,
        -- a cycle of no days would always be due
        case when replacement_cycle_days > 0 then replacement_cycle_days end as replacement_cycle_days
    from unioned
)

select * from keyed
