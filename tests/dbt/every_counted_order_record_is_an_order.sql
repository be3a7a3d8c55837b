-- none is lost on the way from the sources, and none is counted twice
with records as (
    select count(*) as orders_count
    from {{ ref('int_order_records') }} as records
    inner join {{ ref('int_as_of') }} as as_of on records.order_date <= as_of.as_of_date
    where records.is_counted
),

orders as (
    select count(*) as orders_count from {{ ref('orders') }}
)

select
    records.orders_count as records,
    orders.orders_count as orders
from records
cross join orders
where records.orders_count != orders.orders_count
