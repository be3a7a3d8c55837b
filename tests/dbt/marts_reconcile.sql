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
        'orders of customers' as figure,
        cast(orders.orders_count as decimal(38, 4)) as one,
        cast(customers.orders_count as decimal(38, 4)) as other
    from orders
    cross join customers

    union all

    select
        'gross revenue of customers' as figure,
        cast(orders.gross_revenue as decimal(38, 4)) as one,
        cast(customers.gross_revenue as decimal(38, 4)) as other
    from orders
    cross join customers

    union all

    select
        'customers with orders' as figure,
        cast(orders.customers as decimal(38, 4)) as one,
        cast(customers.customers as decimal(38, 4)) as other
    from orders
    cross join customers

    union all

    select
        'orders of cohorts' as figure,
        cast(orders.orders_count as decimal(38, 4)) as one,
        cast(cohorts.orders_count as decimal(38, 4)) as other
    from orders
    cross join cohorts

    union all

    select
        'gross revenue of cohorts' as figure,
        cast(orders.gross_revenue as decimal(38, 4)) as one,
        cast(cohorts.gross_revenue as decimal(38, 4)) as other
    from orders
    cross join cohorts

    union all

    select
        'net revenue of cohorts' as figure,
        cast(orders.net_revenue as decimal(38, 4)) as one,
        cast(cohorts.net_revenue as decimal(38, 4)) as other
    from orders
    cross join cohorts

    union all

    select
        'customers of cohorts' as figure,
        cast(customers.customers as decimal(38, 4)) as one,
        cast(cohorts.customers as decimal(38, 4)) as other
    from customers
    cross join cohorts

    union all

    select
        'people of stages' as figure,
        cast(customers.people as decimal(38, 4)) as one,
        cast(stages.people as decimal(38, 4)) as other
    from customers
    cross join stages

    union all

    select
        'gross revenue of stages' as figure,
        cast(customers.gross_revenue as decimal(38, 4)) as one,
        cast(stages.gross_revenue as decimal(38, 4)) as other
    from customers
    cross join stages

    union all

    select
        'net revenue of stages' as figure,
        cast(customers.net_revenue as decimal(38, 4)) as one,
        cast(stages.net_revenue as decimal(38, 4)) as other
    from customers
    cross join stages

    union all

    select
        'customers of the RFM grid' as figure,
        cast(customers.customers as decimal(38, 4)) as one,
        cast(rfm.customers as decimal(38, 4)) as other
    from customers
    cross join rfm

    union all

    select
        'net revenue of the RFM grid' as figure,
        cast(customers.net_revenue_of_customers as decimal(38, 4)) as one,
        cast(rfm.net_revenue as decimal(38, 4)) as other
    from customers
    cross join rfm
)

select *
from pairs
where one is distinct from other
