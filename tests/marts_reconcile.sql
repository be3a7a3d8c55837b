-- one row per pair of figures that should be equal and are not
with orders as (
    select
        count(*) as orders_count,
        count(distinct person_id) as customers,
        coalesce(sum(gross_amount), 0) as gross_revenue,
        coalesce(sum(net_amount), 0) as net_revenue
    from {{ ref('orders') }}
    where person_id is not null
),

customers as (
    select
        count(*) as people,
        count_if(is_customer) as customers,
        coalesce(sum(orders_count), 0) as orders_count,
        coalesce(sum(gross_revenue), 0) as gross_revenue,
        coalesce(sum(net_revenue), 0) as net_revenue,
        coalesce(sum(case when is_customer then net_revenue end), 0) as net_revenue_of_customers
    from {{ ref('customers') }}
),

cohorts as (
    select
        coalesce(sum(orders), 0) as orders_count,
        coalesce(sum(gross_revenue), 0) as gross_revenue,
        coalesce(sum(net_revenue), 0) as net_revenue,
        coalesce(sum(case when period_index = 0 then cohort_size end), 0) as customers
    from {{ ref('cohort_retention') }}
),

stages as (
    select
        sum(people) as people,
        sum(gross_revenue) as gross_revenue,
        sum(net_revenue) as net_revenue
    from {{ ref('stage_summary') }}
),

rfm as (
    select
        sum(customers) as customers,
        sum(net_revenue) as net_revenue
    from {{ ref('rfm_grid') }}
),

pairs as (
    select 'orders of customers' as figure, orders.orders_count as one, customers.orders_count as other from orders, customers
    union all
    select 'gross revenue of customers', orders.gross_revenue, customers.gross_revenue from orders, customers
    union all
    select 'customers with orders', orders.customers, customers.customers from orders, customers
    union all
    select 'orders of cohorts', orders.orders_count, cohorts.orders_count from orders, cohorts
    union all
    select 'gross revenue of cohorts', orders.gross_revenue, cohorts.gross_revenue from orders, cohorts
    union all
    select 'net revenue of cohorts', orders.net_revenue, cohorts.net_revenue from orders, cohorts
    union all
    select 'customers of cohorts', customers.customers, cohorts.customers from customers, cohorts
    union all
    select 'people of stages', customers.people, stages.people from customers, stages
    union all
    select 'gross revenue of stages', customers.gross_revenue, stages.gross_revenue from customers, stages
    union all
    select 'net revenue of stages', customers.net_revenue, stages.net_revenue from customers, stages
    union all
    select 'customers of the RFM grid', customers.customers, rfm.customers from customers, rfm
    union all
    select 'net revenue of the RFM grid', customers.net_revenue_of_customers, rfm.net_revenue from customers, rfm
)

select *
from pairs
where one is distinct from other
