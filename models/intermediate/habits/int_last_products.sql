-- person × the product they viewed, or wished for, last, and whether they have bought it since
with marks as (
    select * from {{ ref('int_app_marks') }}
    where kind in ('viewed', 'wished')
),

products as (
    select * from {{ ref('int_products') }}
),

order_lines as (
    select * from {{ ref('int_order_lines') }}
    where person_id is not null
),

orders as (
    select * from {{ ref('int_orders') }}
),

-- the app does not say which shop's product it is
product_names as (
    select
        product_id,
        min_by(product_name, product_key) as product_name
    from products
    group by product_id
),

last_bought as (
    select
        order_lines.person_id,
        products.product_id,
        max(orders.ordered_at) as ordered_at
    from order_lines
    inner join products on order_lines.product_key = products.product_key
    inner join orders on order_lines.order_key = orders.order_key
    group by order_lines.person_id, products.product_id
),

final as (
    select
        marks.person_id,
        marks.kind,
        marks.last_product_id as product_id,
        coalesce(product_names.product_name, marks.last_product_id) as product_name,
        marks.last_at,
        coalesce(last_bought.ordered_at >= marks.last_at, false) as is_bought
    from marks
    left join product_names on marks.last_product_id = product_names.product_id
    left join last_bought
        on marks.person_id = last_bought.person_id and marks.last_product_id = last_bought.product_id
)

select * from final
