{%- set rhythm_days = 90 -%}
-- person with app activity × what their active days say
with app_days as (
    select * from {{ ref('int_app_days') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

-- days in a row lie as many days apart as their numbers
streaks as (
    select
        person_id,
        max(activity_date) as last_date,
        count(*) as days
    from app_days
    group by person_id, {{ add_days('activity_date', '-day_number') }}
),

streak_facts as (
    select
        streaks.person_id,
        max(streaks.days) as longest_streak_days,
        max(case when streaks.last_date >= {{ add_days('as_of.as_of_date', -1) }} then streaks.days end) as current_streak_days
    from streaks
    cross join as_of
    group by streaks.person_id
),

day_facts as (
    select
        app_days.person_id,
        min(app_days.activity_date) as first_active_date,
        max(app_days.activity_date) as last_active_date,
        {%- for days in [7, 30, rhythm_days] %}
        count(case when app_days.activity_date > {{ add_days('as_of.as_of_date', -days) }} then 1 end) as active_days_{{ days }}d,
        {%- endfor %}
        {%- for counted in ['sessions', 'session_events'] %}
        cast(
            sum(
                case
                    when app_days.activity_date > {{ add_days('as_of.as_of_date', -30) }} then app_days.{{ counted }}_count
                    else 0
                end
            ) as bigint
        ) as {{ counted }}_30d,
        {%- endfor %}
        percentile_cont(0.5) within group (
            order by
                case
                    when app_days.activity_date > {{ add_days('as_of.as_of_date', -rhythm_days) }}
                        then cast({{ days_between('app_days.activity_date', 'app_days.next_activity_date') }} as double)
                end
        ) as median_gap_days
    from app_days
    cross join as_of
    group by app_days.person_id
),

final as (
    select
        day_facts.person_id,
        day_facts.first_active_date,
        day_facts.last_active_date,
        {{ days_between('day_facts.last_active_date', 'as_of.as_of_date') }} as disuse_days,
        day_facts.active_days_7d,
        day_facts.active_days_30d,
        day_facts.active_days_90d,
        coalesce(streak_facts.current_streak_days, 0) as current_streak_days,
        streak_facts.longest_streak_days,
        -- a rhythm is known from enough days only
        case when day_facts.active_days_90d >= {{ var('habit_min_active_days') }} then day_facts.median_gap_days end
            as median_days_between,
        day_facts.sessions_30d,
        day_facts.session_events_30d
    from day_facts
    cross join as_of
    inner join streak_facts on day_facts.person_id = streak_facts.person_id
)

select * from final
