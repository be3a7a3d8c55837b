{%- set first_days = 7 -%}
-- person × kind of goal of which they reached one: how many, and which comes next
with marks as (
    select * from {{ ref('int_app_marks') }}
    where kind in ('step', 'feature')
),

goals as (
    select * from {{ ref('int_app_goals') }}
),

app_days as (
    select * from {{ ref('int_app_days') }}
    where day_number = 1
),

reached as (
    select
        marks.person_id,
        marks.kind,
        marks.first_at,
        goals.place,
        goals.names_count,
        cast(marks.first_at as date) < {{ add_days('app_days.activity_date', first_days) }} as is_in_time,
        row_number() over (partition by marks.person_id, marks.kind order by goals.place) as reached_number
    from marks
    inner join goals on marks.kind = goals.kind and marks.name = goals.name
    inner join app_days on marks.person_id = app_days.person_id
),

-- as long as nothing is left out, a goal's place is its number among those reached
final as (
    select
        person_id,
        kind,
        count(*) as reached_count,
        count(case when is_in_time then 1 end) as reached_in_time,
        count(case when place = reached_number then 1 end) + 1 as next_place,
        case when count(*) = max(names_count) then max(first_at) end as completed_at,
        coalesce(count(*) = max(names_count) and bool_and(is_in_time), false) as is_completed_in_time
    from reached
    group by person_id, kind
)

select * from final
