with order_items as (
    select * from {{ ref('base_shop__order_items') }}
    where row_status = 'staged'
),

cleaned as (
    select
        -- ids
        order_id,
        line_number,
        product_id,
        -- numerics
        quantity,
        unit_price
    from order_items
)

select * from cleaned
