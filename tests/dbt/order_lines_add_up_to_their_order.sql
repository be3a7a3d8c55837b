with order_lines as (
    select
        order_key,
        sum(gross_amount) as gross_amount,
        sum(discount_amount) as discount_amount,
        sum(refunded_amount) as refunded_amount,
        sum(net_amount) as net_amount
    from {{ ref('order_lines') }}
    group by order_key
)

select order_lines.*
from order_lines
left join {{ ref('orders') }} as orders on order_lines.order_key = orders.order_key
where
    order_lines.gross_amount is distinct from orders.gross_amount
    or order_lines.discount_amount is distinct from orders.discount_amount
    or order_lines.refunded_amount is distinct from orders.refunded_amount
    or order_lines.net_amount is distinct from orders.net_amount
