-- recomputed per age without cohorts: members, the eligible and their revenue; and all kinds of cohort have them all
with firsts as (
    select
        person_id,
        min(order_date) as first_order_date
    from {{ ref('orders') }}
    where person_id is not null
    group by person_id
),

cells as (
    select
        cohort_type,
        age_days,
        sum(customers) as customers,
        sum(eligible_customers) as eligible_customers,
        sum(gross_revenue) as gross_revenue,
        sum(net_revenue) as net_revenue
    from {{ ref('cohort_value') }}
    group by cohort_type, age_days
),

people as (
    select
        cells.cohort_type,
        cells.age_days,
        count(*) as customers,
        count_if({{ add_days('firsts.first_order_date', 'cells.age_days') }} <= as_of.as_of_date) as eligible_customers
    from cells
    cross join firsts
    cross join {{ ref('int_as_of') }} as as_of
    group by cells.cohort_type, cells.age_days
),

revenue as (
    select
        cells.cohort_type,
        cells.age_days,
        sum(orders.gross_amount) as gross_revenue,
        sum(orders.net_amount) as net_revenue
    from cells
    cross join firsts
    inner join {{ ref('int_as_of') }} as as_of
        on {{ add_days('firsts.first_order_date', 'cells.age_days') }} <= as_of.as_of_date
    inner join {{ ref('orders') }} as orders
        on
            firsts.person_id = orders.person_id
            and orders.order_date <= {{ add_days('firsts.first_order_date', 'cells.age_days') }}
    group by cells.cohort_type, cells.age_days
),

totals as (
    select cells.cohort_type || ' ' || cells.age_days as cell
    from cells
    inner join people on cells.cohort_type = people.cohort_type and cells.age_days = people.age_days
    left join revenue on cells.cohort_type = revenue.cohort_type and cells.age_days = revenue.age_days
    where
        cells.customers != people.customers
        or cells.eligible_customers != people.eligible_customers
        or cells.gross_revenue != coalesce(revenue.gross_revenue, 0)
        or cells.net_revenue != coalesce(revenue.net_revenue, 0)
),

months as (
    select * from {{ ref('cohort_value') }}
    where cohort_type = 'month'
),

cohorts as (
    select * from {{ ref('cohort_retention') }}
    where period_index = 0
),

-- the months are the cohorts of cohort_retention
sizes as (
    select coalesce(cohorts.cohort, months.cohort) as cell
    from months
    full join cohorts on months.cohort = cohorts.cohort
    where months.customers is distinct from cohorts.cohort_size
)

select * from totals
union all
select * from sizes
