-- person × business day with any activity, up to as_of_date
with sessions as (
    select * from {{ ref('int_app_sessions') }}
),

orders as (
    select * from {{ ref('int_orders') }}
    where person_id is not null
),

identity_map as (
    select * from {{ ref('int_identity_map') }}
    where role = 'app'
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

-- a session that goes on under another user id of the person is one
person_sessions as (
    select
        identity_map.person_id,
        sessions.event_date,
        sessions.session_id,
        min(sessions.first_activity_at) as first_activity_at,
        sum(sessions.events_count) as events_count,
        min(sessions.first_cart_at) as first_cart_at
    from sessions
    inner join as_of on sessions.event_date <= as_of.as_of_date
    inner join identity_map
        on sessions.source_system = identity_map.source and sessions.user_id = identity_map.source_id
    group by identity_map.person_id, sessions.event_date, sessions.session_id
),

unioned as (
    select
        person_id,
        event_date as activity_date,
        min(first_activity_at) as first_activity_at,
        sum(events_count) as events_count,
        count(session_id) as sessions_count,
        sum(case when session_id is not null then events_count else 0 end) as session_events_count,
        0 as orders_count,
        min(first_cart_at) as first_cart_at
    from person_sessions
    group by person_id, event_date

    union all

    select
        person_id,
        order_date as activity_date,
        min(ordered_at) as first_activity_at,
        0 as events_count,
        0 as sessions_count,
        0 as session_events_count,
        count(*) as orders_count,
        cast(null as timestamp) as first_cart_at
    from orders
    group by person_id, order_date
),

person_days as (
    select
        person_id,
        activity_date,
        min(first_activity_at) as first_activity_at,
        cast(sum(events_count) as bigint) as events_count,
        cast(sum(sessions_count) as bigint) as sessions_count,
        cast(sum(session_events_count) as bigint) as session_events_count,
        cast(sum(orders_count) as bigint) as orders_count,
        min(first_cart_at) as first_cart_at
    from unioned
    group by person_id, activity_date
),

with_end as (
    select
        *,
        least(
            {{ add_days('activity_date', var('active_days')) }},
            coalesce(
                lead(activity_date) over (partition by person_id order by activity_date),
                {{ add_days('activity_date', var('active_days')) }}
            )
        ) as active_until
    from person_days
)

select * from with_end
