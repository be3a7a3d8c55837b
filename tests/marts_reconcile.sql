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
        coalesce(count_if(is_customer), 0) as customers,
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
    select
        listed.figure,
        listed.one,
        listed.other
    from orders
    cross join customers
    cross join cohorts
    cross join stages
    cross join rfm
    cross join lateral (
        values
        ('orders of customers', orders.orders_count, customers.orders_count),
        ('gross revenue of customers', orders.gross_revenue, customers.gross_revenue),
        ('customers with orders', orders.customers, customers.customers),
        ('orders of cohorts', orders.orders_count, cohorts.orders_count),
        ('gross revenue of cohorts', orders.gross_revenue, cohorts.gross_revenue),
        ('net revenue of cohorts', orders.net_revenue, cohorts.net_revenue),
        ('customers of cohorts', customers.customers, cohorts.customers),
        ('people of stages', customers.people, stages.people),
        ('gross revenue of stages', customers.gross_revenue, stages.gross_revenue),
        ('net revenue of stages', customers.net_revenue, stages.net_revenue),
        ('customers of the RFM grid', customers.customers, rfm.customers),
        ('net revenue of the RFM grid', customers.net_revenue_of_customers, rfm.net_revenue)
    ) as listed (figure, one, other)
)

select *
from pairs
where one is distinct from other
