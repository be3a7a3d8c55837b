with order_lines as (
    select * from {{ ref('base_shopify__order_line') }}
    where row_status = 'staged'
),

exported_lines as (
    select * from {{ ref('base_shopify__orders_export') }}
    where row_status = 'staged' and lineitem_name is not null
),

-- only an order's first row has its id; all have its number
order_numbers as (
    select
        name,
        min(id) as id
    from {{ ref('base_shopify__orders_export') }}
    where row_status = 'staged' and id is not null
    group by name
),

loaded as (
    select
        -- ids
        order_id,
        cast(row_number() over (partition by order_id order by coalesce(index, 0), id) as bigint) as line_number,
        product_id,
        -- numerics
        quantity,
        coalesce(price, {{ money_per('total', 'quantity') }}) as unit_price
    from order_lines
),

-- the export has no ids of products: a sku is as near as it comes
from_export as (
    select
        -- ids
        replace(order_numbers.id, '''', '') as order_id,
        cast(row_number() over (
            partition by order_numbers.id
            order by
                case when exported_lines.id is not null then 0 else 1 end,
                exported_lines.lineitem_name,
                exported_lines.row_key
        ) as bigint) as line_number,
        coalesce(exported_lines.lineitem_sku, exported_lines.lineitem_name_id) as product_id,
        -- numerics
        exported_lines.lineitem_quantity as quantity,
        exported_lines.lineitem_price as unit_price
    from exported_lines
    inner join order_numbers on exported_lines.name = order_numbers.name
),

unioned as (
    select * from loaded
    union all
    select * from from_export
)

select * from unioned
