-- customer × category of the most valuable line of the first order
with orders as (
    select * from {{ ref('orders') }}
    where is_first_order
),

order_items as (
    select * from {{ ref('stg_shop__order_items') }}
),

products as (
    select * from {{ ref('stg_shop__products') }}
),

ranked_lines as (
    select
        orders.person_id,
        products.category,
        row_number() over (
            partition by orders.person_id
            order by order_items.quantity * order_items.unit_price desc nulls last, order_items.line_number
        ) as line_rank
    from orders
    inner join order_items on orders.source = order_items.source_system and orders.order_id = order_items.order_id
    left join products
        on order_items.source_system = products.source_system and order_items.product_id = products.product_id
),

first_categories as (
    select
        person_id,
        category
    from ranked_lines
    where line_rank = 1 and category is not null
)

select * from first_categories
