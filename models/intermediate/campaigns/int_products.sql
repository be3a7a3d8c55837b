-- every product that a system lists or has sold
with products as (
    select * from {{ ref('stg_shop__products') }}
),

order_items as (
    select * from {{ ref('stg_shop__order_items') }}
    where product_id is not null
),

sold as (
    select distinct
        source_system,
        product_id
    from order_items
),

listed_or_sold as (
    select
        coalesce(products.source_system, sold.source_system) as source,
        coalesce(products.product_id, sold.product_id) as product_id,
        products.product_name,
        products.category,
        products.brand,
        products.unit_cost,
        products.replacement_cycle_days
    from products
    full join sold on products.source_system = sold.source_system and products.product_id = sold.product_id
),

keyed as (
    select
        source || ':' || product_id as product_key,
        source,
        product_id,
        coalesce(product_name, product_id) as product_name,
        category,
        brand,
        unit_cost,
        -- a cycle of no days would always be due
        case when replacement_cycle_days > 0 then replacement_cycle_days end as replacement_cycle_days
    from listed_or_sold
)

select * from keyed
