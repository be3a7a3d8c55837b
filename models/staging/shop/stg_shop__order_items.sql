with order_items as (
    {{ canonical_rows('shop', 'order_items') }}
),

cleaned as (
    select
        -- ids
        source_system,
        order_id,
        line_number,
        product_id,
        -- numerics
        quantity,
        unit_price
    from order_items
)

select * from cleaned
