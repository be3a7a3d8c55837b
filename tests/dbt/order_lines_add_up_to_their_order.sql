with order_lines as (
    select
        order_key,
        sum(net_revenue) as net_revenue
    from {{ ref('int_order_lines') }}
    group by order_key
)

select
    orders.order_key,
    orders.net_amount,
    order_lines.net_revenue
from order_lines
left join {{ ref('int_orders') }} as orders on order_lines.order_key = orders.order_key
where orders.net_amount is distinct from order_lines.net_revenue
