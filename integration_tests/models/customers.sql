-- the roastery's own customers, which take nobody's place
select
    person_id,
    net_revenue,
    stage
from {{ ref('customer_lifecycle', 'customers') }}
where is_customer
