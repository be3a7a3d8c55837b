{%- set windows = {'dau': 1, 'wau': 7, 'mau': 28} -%}
-- running sums of intervals: each active day counts until its window ends, or the next active day begins one
with app_days as (
    select * from {{ ref('int_app_days') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

changes as (
    select
        {%- for name in windows %}
        1 as {{ name }},
        {%- endfor %}
        activity_date as changed_on
    from app_days
    {%- for name, days in windows.items() %}

    union all

    select
        {%- for other in windows %}
        {{ -1 if other == name else 0 }} as {{ other }},
        {%- endfor %}
        least({{ add_days('activity_date', days) }}, coalesce(next_activity_date, {{ add_days('activity_date', days) }}))
            as changed_on
    from app_days
    {%- endfor %}
),

daily_changes as (
    select
        {%- for name in windows %}
        sum({{ name }}) as {{ name }},
        {%- endfor %}
        changed_on
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
    select {{ calendar('first_day', 'last_day', 'day') }}
    from bounds
    where first_day is not null
),

running as (
    select
        {%- for name in windows %}
        cast(sum(coalesce(daily_changes.{{ name }}, 0)) over (order by days.period_start) as bigint) as {{ name }},
        {%- endfor %}
        days.period_start as metric_date
    from days
    left join daily_changes on days.period_start = daily_changes.changed_on
),

final as (
    select
        metric_date,
        dau,
        wau,
        mau,
        {{ ratio('dau', 'mau') }} as stickiness
    from running
)

select * from final
