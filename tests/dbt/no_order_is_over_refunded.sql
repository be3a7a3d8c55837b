-- a warning: more went back or off than was paid, so that the order is worth less than nothing
{{ config(severity='warn') }}
select order_key
from {{ ref('orders') }}
where is_over_refunded
