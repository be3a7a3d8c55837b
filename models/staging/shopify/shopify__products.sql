with products as (
    select * from {{ ref('base_shopify__product') }}
    where row_status = 'staged'
),

exported_lines as (
    select * from {{ ref('base_shopify__orders_export') }}
    where row_status = 'staged' and lineitem_name is not null
),

loaded as (
    select
        id as product_id,
        title as product_name,
        product_type as category,
        vendor as brand
    from products
),

-- called as on its latest line
from_export as (
    select
        coalesce(lineitem_sku, lineitem_name_id) as product_id,
        lineitem_name as product_name,
        cast(null as string) as category,
        vendor as brand
    from exported_lines
    qualify row_number() over (
        partition by coalesce(lineitem_sku, lineitem_name_id)
        order by coalesce(cast(created_at as string), '') desc, lineitem_name, coalesce(vendor, '')
    ) = 1
),

unioned as (
    select * from loaded
    union all
    select * from from_export
)

select * from unioned
