-- what the state says up to as_of_date, of the people as they are known now: a person_id is the hash of one record, and
-- the record knows whom it belongs to after a merge
with events as (
    select * from {{ source('state', 'audience_events') }}
),

identity_map as (
    select * from {{ ref('int_identity_map') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

known as (
    select
        events.as_of_date,
        events.audience,
        events.event,
        events.person_id as recorded_person_id,
        coalesce(identity_map.person_id, events.person_id) as person_id,
        events.entered_on,
        events.is_holdout,
        events.holdout_share
    from events
    inner join as_of on events.as_of_date <= as_of.as_of_date
    left join identity_map on events.person_id = identity_map.record_id
)

select * from known
