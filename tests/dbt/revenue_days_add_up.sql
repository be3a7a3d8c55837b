-- what orders and refunds did day by day is what the customer is worth in the end
with summed as (
    select
        person_id,
        sum(net_change) as net_revenue,
        sum(orders_count) as orders_count
    from {{ ref('int_revenue_days') }}
    group by person_id
)

select people.person_id
from {{ ref('int_person_facts') }} as people
left join summed on people.person_id = summed.person_id
where
    people.net_revenue != coalesce(summed.net_revenue, 0)
    or people.orders_count != coalesce(summed.orders_count, 0)
