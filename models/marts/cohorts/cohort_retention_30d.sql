{%- set days = 30 -%}
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

members as (
    select
        person_id,
        first_order_date,
        cast(date_trunc('month', first_order_date) as date) as cohort_month
    from customers
),

cohorts as (
    select
        cohort_month,
        count(*) as cohort_size,
        min(first_order_date) as first_order_date
    from members
    group by cohort_month
),

days_since_start as (
    select
        cohorts.*,
        as_of.as_of_date,
        {{ calendar('cohorts.first_order_date', 'as_of.as_of_date', 'day') }}
    from cohorts
    cross join as_of
),

windows as (
    select
        cohort_month,
        cohort_size,
        as_of_date,
        cast({{ days_between('first_order_date', 'period_start') }} / {{ days }} as integer) as window_index
    from days_since_start
    where mod({{ days_between('first_order_date', 'period_start') }}, {{ days }}) = 0
),

matured as (
    select
        windows.cohort_month,
        windows.window_index,
        windows.cohort_size,
        count(members.person_id) as mature_customers
    from windows
    left join members
        on
            windows.cohort_month = members.cohort_month
            and {{ add_days('members.first_order_date', days ~ ' * (windows.window_index + 1) - 1') }} <= windows.as_of_date
    group by windows.cohort_month, windows.window_index, windows.cohort_size
),

member_windows as (
    select distinct
        members.person_id,
        members.cohort_month,
        members.first_order_date,
        cast(floor({{ days_between('members.first_order_date', 'orders.order_date') }} / {{ days }}) as integer) as window_index
    from orders
    inner join members on orders.person_id = members.person_id
),

activity as (
    select
        member_windows.cohort_month,
        member_windows.window_index,
        count(*) as active_customers,
        count_if(
            {{ add_days('member_windows.first_order_date', days ~ ' * (member_windows.window_index + 1) - 1') }}
            <= as_of.as_of_date
        ) as active_mature
    from member_windows
    cross join as_of
    group by member_windows.cohort_month, member_windows.window_index
),

final as (
    select
        matured.cohort_month,
        {{ month_label('matured.cohort_month') }} as cohort,
        matured.window_index,
        matured.cohort_size,
        matured.mature_customers,
        coalesce(activity.active_customers, 0) as active_customers,
        cast(coalesce(activity.active_mature, 0) as bigint) as active_mature,
        {{ ratio('coalesce(activity.active_mature, 0)', 'matured.mature_customers') }} as retention
    from matured
    left join activity
        on matured.cohort_month = activity.cohort_month and matured.window_index = activity.window_index
)

select * from final
