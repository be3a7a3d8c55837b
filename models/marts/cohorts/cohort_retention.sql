with customers as (
    select * from {{ ref('int_person_facts') }}
    where orders_count > 0
),

orders as (
    select * from {{ ref('orders') }}
    where person_id is not null
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

person_months as (
    select
        person_id,
        cast(date_trunc('month', order_date) as date) as activity_month,
        count(*) as orders,
        sum(gross_amount) as gross_revenue,
        sum(net_amount) as net_revenue
    from orders
    group by person_id, date_trunc('month', order_date)
),

members as (
    select
        person_id,
        cast(date_trunc('month', first_order_date) as date) as cohort_month
    from customers
),

cohorts as (
    select
        cohort_month,
        count(*) as cohort_size
    from members
    group by cohort_month
),

-- every cell of the triangle is a row, also those in which nobody bought
months as (
    select
        cohorts.cohort_month,
        cohorts.cohort_size,
        {{ calendar('cohorts.cohort_month', 'as_of.as_of_date', 'month') }}
    from cohorts
    cross join as_of
),

cells as (
    select
        members.cohort_month,
        person_months.activity_month,
        count(*) as active_customers,
        sum(person_months.orders) as orders,
        sum(person_months.gross_revenue) as gross_revenue,
        sum(person_months.net_revenue) as net_revenue
    from person_months
    inner join members on person_months.person_id = members.person_id
    group by members.cohort_month, person_months.activity_month
),

grid as (
    select
        months.cohort_month,
        months.period_start as activity_month,
        months.cohort_size,
        coalesce(cells.active_customers, 0) as active_customers,
        cast(coalesce(cells.orders, 0) as bigint) as orders,
        {{ money('coalesce(cells.gross_revenue, 0)') }} as gross_revenue,
        {{ money('coalesce(cells.net_revenue, 0)') }} as net_revenue
    from months
    left join cells
        on months.cohort_month = cells.cohort_month and months.period_start = cells.activity_month
),

final as (
    select
        grid.cohort_month,
        {{ month_label('grid.cohort_month') }} as cohort,
        cast({{ months_between_months('grid.cohort_month', 'grid.activity_month') }} as integer) as period_index,
        grid.activity_month,
        grid.cohort_size,
        grid.active_customers,
        {{ ratio('grid.active_customers', 'grid.cohort_size') }} as retention,
        grid.orders,
        grid.gross_revenue,
        grid.net_revenue,
        {{ money('sum(grid.gross_revenue) over so_far') }} as cumulative_gross_revenue,
        {{ money('sum(grid.net_revenue) over so_far') }} as cumulative_net_revenue,
        last_day(grid.activity_month) <= as_of.as_of_date as is_complete
    from grid
    cross join as_of
    window so_far as (partition by grid.cohort_month order by grid.activity_month)
)

select * from final
