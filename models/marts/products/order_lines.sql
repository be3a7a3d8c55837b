with lines as (
    select * from {{ ref('int_order_lines') }}
),

orders as (
    select * from {{ ref('orders') }}
),

products as (
    select * from {{ ref('int_products') }}
),

described as (
    select
        lines.order_key,
        lines.product_key,
        lines.person_id,
        lines.order_date,
        orders.order_number,
        orders.is_first_order,
        orders.order_type,
        products.product_name,
        products.category,
        products.brand,
        lines.quantity,
        lines.gross_amount,
        lines.discount_amount,
        lines.refunded_amount,
        lines.net_amount,
        -- what went back is on the shelf again
        {{ money_times('products.unit_cost', 'case when lines.is_returned then 0 else lines.quantity end') }} as cost_amount,
        lines.is_returned
    from lines
    inner join orders on lines.order_key = orders.order_key
    inner join products on lines.product_key = products.product_key
),

final as (
    select
        order_key,
        product_key,
        person_id,
        order_date,
        order_number,
        is_first_order,
        order_type,
        product_name,
        category,
        brand,
        quantity,
        gross_amount,
        discount_amount,
        refunded_amount,
        net_amount,
        cost_amount,
        {{ money('net_amount - cost_amount') }} as margin_amount,
        is_returned
    from described
)

select * from final
