with events as (
    select * from {{ ref('int_audience_events') }}
    where event in ('entered', 'left')
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

bounds as (
    select
        events.audience,
        events.person_id,
        max(case when events.event = 'left' then events.as_of_date end) as left_last,
        max(case when events.event = 'entered' and events.as_of_date < as_of.as_of_date then events.as_of_date end)
            as entered_before,
        max(case when events.event = 'left' and events.as_of_date < as_of.as_of_date then events.as_of_date end)
            as left_before
    from events
    cross join as_of
    group by events.audience, events.person_id
),

-- the earliest assignment holds for good, also when two people turn out to be one
assignments as (
    select
        events.audience,
        events.person_id,
        min(events.as_of_date) as assigned_on,
        min_by(events.is_holdout, cast(events.as_of_date as string) || events.recorded_person_id) as is_holdout,
        min_by(events.holdout_share, cast(events.as_of_date as string) || events.recorded_person_id) as holdout_share,
        min(
            case when bounds.left_last is null or events.as_of_date >= bounds.left_last then events.entered_on end
        ) as entered_on,
        coalesce(
            min(bounds.entered_before) >= coalesce(min(bounds.left_before), cast('0001-01-01' as date)), false
        ) as was_in_before
    from events
    inner join bounds on events.audience = bounds.audience and events.person_id = bounds.person_id
    where events.event = 'entered'
    group by events.audience, events.person_id
)

select * from assignments
