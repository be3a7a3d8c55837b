{%- set window_days = 28 -%}
with app_days as (
    select * from {{ ref('int_app_days') }}
),

months as (
    select * from {{ ref('int_months') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

first_months as (
    select cast(date_trunc('month', min(activity_date)) as date) as first_month
    from app_days
),

cells as (
    select
        months.month,
        months.month_end,
        months.is_complete,
        {{ numbers(1, window_days) }}
    from months
    inner join first_months on months.month >= first_months.first_month
),

-- no month is shorter than the window, so a day is in that of its own month, and perhaps in that of the running one
month_days as (
    select
        app_days.person_id,
        months.month
    from app_days
    inner join months
        on
            cast(date_trunc('month', app_days.activity_date) as date) = months.month
            and app_days.activity_date > {{ add_days('months.month_end', -window_days) }}

    union all

    select
        app_days.person_id,
        cast(date_trunc('month', as_of.as_of_date) as date) as month
    from app_days
    inner join as_of
        on
            app_days.activity_date > {{ add_days('as_of.as_of_date', -window_days) }}
            and app_days.activity_date < date_trunc('month', as_of.as_of_date)
),

person_months as (
    select
        person_id,
        month,
        count(*) as active_days
    from month_days
    group by person_id, month
),

counted as (
    select
        month,
        active_days,
        count(*) as people
    from person_months
    group by month, active_days
),

final as (
    select
        cells.month,
        {{ month_label('cells.month') }} as month_label,
        cells.month_end,
        cast(cells.number as bigint) as active_days,
        coalesce(counted.people, 0) as people,
        cells.is_complete
    from cells
    left join counted on cells.month = counted.month and cells.number = counted.active_days
)

select * from final
