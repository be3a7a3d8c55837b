-- running sums of daily changes: cost follows the data, not days × people
with people as (
    select * from {{ ref('int_person_facts') }}
),

orders as (
    select * from {{ ref('orders') }}
    where person_id is not null
),

activity_days as (
    select * from {{ ref('int_activity_days') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

active_intervals as (
    select
        activity_date as active_from,
        least(
            {{ add_days('activity_date', var('active_days')) }},
            coalesce(
                lead(activity_date) over (partition by person_id order by activity_date),
                {{ add_days('activity_date', var('active_days')) }}
            )
        ) as active_until
    from activity_days
),

changes as (
    select
        cast(first_seen_at as date) as changed_on,
        1 as users,
        0 as customers,
        0 as repeat_customers,
        0 as loyal_customers,
        0 as active_users
    from people

    union all

    select
        order_date as changed_on,
        0 as users,
        case when order_number = 1 then 1 else 0 end as customers,
        case when order_number = 2 then 1 else 0 end as repeat_customers,
        case when order_number = {{ var('loyal_min_orders') }} then 1 else 0 end as loyal_customers,
        0 as active_users
    from orders

    union all

    select
        active_from as changed_on,
        0 as users,
        0 as customers,
        0 as repeat_customers,
        0 as loyal_customers,
        1 as active_users
    from active_intervals

    union all

    select
        active_until as changed_on,
        0 as users,
        0 as customers,
        0 as repeat_customers,
        0 as loyal_customers,
        -1 as active_users
    from active_intervals
),

daily_changes as (
    select
        changed_on,
        sum(users) as users,
        sum(customers) as customers,
        sum(repeat_customers) as repeat_customers,
        sum(loyal_customers) as loyal_customers,
        sum(active_users) as active_users
    from changes
    group by changed_on
),

bounds as (
    select
        min(daily_changes.changed_on) as first_day,
        max(as_of.as_of_date) as last_day
    from daily_changes
    cross join as_of
),

days as (
    select {{ calendar('bounds.first_day', 'bounds.last_day', 'day') }}
    from bounds
),

running as (
    select
        {%- for metric in ['users', 'customers', 'repeat_customers', 'loyal_customers', 'active_users'] %}
        cast(sum(coalesce(daily_changes.{{ metric }}, 0)) over so_far as bigint) as {{ metric }},
        {%- endfor %}
        days.period_start as metric_date
    from days
    left join daily_changes on days.period_start = daily_changes.changed_on
    window so_far as (order by days.period_start)
),

final as (
    select
        metric_date,
        users,
        customers,
        repeat_customers,
        loyal_customers,
        active_users,
        users - active_users as passive_users,
        {{ ratio('customers', 'users') }} as user_activation_rate,
        {{ ratio('repeat_customers', 'customers') }} as repeat_customer_rate,
        {{ ratio('loyal_customers', 'repeat_customers') }} as loyal_customer_rate
    from running
)

select * from final
