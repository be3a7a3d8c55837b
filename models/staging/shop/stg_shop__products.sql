with products as (
    {{ canonical_rows('shop', 'products') }}
),

cleaned as (
    select
        -- ids
        source_system,
        product_id,
        -- text
        product_name,
        category,
        brand,
        -- numerics
        replacement_cycle_days,
        unit_cost
    from products
)

select * from cleaned
