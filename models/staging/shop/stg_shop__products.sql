with products as (
    select * from {{ ref('base_shop__products') }}
    where row_status = 'staged'
),

cleaned as (
    select
        -- ids
        product_id,
        -- text
        product_name,
        category,
        brand,
        -- numerics
        replacement_cycle_days
    from products
)

select * from cleaned
