-- person × business day with app activity; a day with nothing but an order is none
with activity_days as (
    select * from {{ ref('int_activity_days') }}
    where events_count > 0
),

final as (
    select
        person_id,
        activity_date,
        sessions_count,
        session_events_count,
        cast(row_number() over days as bigint) as day_number,
        lead(activity_date) over days as next_activity_date
    from activity_days
    window days as (partition by person_id order by activity_date)
)

select * from final
