{%- set first_days = 7 -%}
with app_days as (
    select * from {{ ref('int_app_days') }}
    where day_number = 1
),

marks as (
    select * from {{ ref('int_app_marks') }}
    where kind in ('step', 'feature')
),

progress as (
    select * from {{ ref('int_app_progress') }}
    where kind = 'step' and is_completed_in_time
),

goals as (
    select * from {{ ref('int_app_goals') }}
),

months as (
    select * from {{ ref('int_months') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

names as (
    select
        kind,
        name,
        place as position
    from goals

    union all

    select
        'onboarding_completed' as kind,
        'all_steps' as name,
        0 as position
    from goals
    where kind = 'step' and place = 1
),

members as (
    select
        app_days.person_id,
        app_days.activity_date as first_active_date,
        cast(date_trunc('month', app_days.activity_date) as date) as cohort_month,
        {{ add_days('app_days.activity_date', first_days - 1) }} <= as_of.as_of_date as is_mature
    from app_days
    cross join as_of
),

cohorts as (
    select
        cohort_month,
        count(*) as people,
        count(case when is_mature then 1 end) as mature_people
    from members
    group by cohort_month
),

done_in_time as (
    select
        marks.person_id,
        marks.kind,
        marks.name
    from marks
    inner join members
        on
            marks.person_id = members.person_id
            and cast(marks.first_at as date) < {{ add_days('members.first_active_date', first_days) }}

    union all

    select
        person_id,
        'onboarding_completed' as kind,
        'all_steps' as name
    from progress
),

done as (
    select
        members.cohort_month,
        done_in_time.kind,
        done_in_time.name,
        count(*) as done_in_7d
    from done_in_time
    inner join members on done_in_time.person_id = members.person_id and members.is_mature
    group by members.cohort_month, done_in_time.kind, done_in_time.name
),

first_months as (
    select min(cohort_month) as first_month
    from cohorts
),

cells as (
    select
        months.month as cohort_month,
        names.kind,
        names.name,
        names.position,
        {{ add_days('last_day(months.month)', first_days - 1) }} <= as_of.as_of_date as is_complete
    from months
    inner join first_months on months.month >= first_months.first_month
    cross join names
    cross join as_of
),

final as (
    select
        cells.cohort_month,
        {{ month_label('cells.cohort_month') }} as cohort,
        cells.kind,
        cells.name,
        cast(cells.position as bigint) as position,
        coalesce(cohorts.people, 0) as people,
        coalesce(cohorts.mature_people, 0) as mature_people,
        coalesce(done.done_in_7d, 0) as done_in_7d,
        {{ ratio('coalesce(done.done_in_7d, 0)', 'cohorts.mature_people') }} as share,
        cells.is_complete
    from cells
    left join cohorts on cells.cohort_month = cohorts.cohort_month
    left join done on cells.cohort_month = done.cohort_month and cells.kind = done.kind and cells.name = done.name
)

select * from final
