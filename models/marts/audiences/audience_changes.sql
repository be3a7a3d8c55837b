with members as (
    select * from {{ ref('audience_members') }}
),

audiences as (
    select * from {{ ref('int_audiences') }}
),

assignments as (
    select * from {{ ref('int_audience_assignments') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

entered as (
    select
        members.audience,
        members.person_id,
        'entered' as event,
        members.entered_on,
        members.is_holdout,
        coalesce(assignments.holdout_share, audiences.holdout_share) as holdout_share
    from members
    inner join audiences on members.audience = audiences.audience
    left join assignments on members.audience = assignments.audience and members.person_id = assignments.person_id
    where not coalesce(assignments.was_in_before, false)
),

-- of an audience whose file is gone, too
gone as (
    select
        assignments.audience,
        assignments.person_id,
        'left' as event,
        cast(null as date) as entered_on,
        cast(null as boolean) as is_holdout,
        cast(null as double) as holdout_share
    from assignments
    left join members on assignments.audience = members.audience and assignments.person_id = members.person_id
    where assignments.was_in_before and members.person_id is null
),

unioned as (
    select * from entered
    union all
    select * from gone
),

final as (
    select
        as_of.as_of_date,
        unioned.audience,
        unioned.event,
        unioned.person_id,
        unioned.entered_on,
        unioned.is_holdout,
        unioned.holdout_share
    from unioned
    cross join as_of
)

select * from final
