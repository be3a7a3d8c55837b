{{ config(materialized='by_part', parts_of='base_app__events') }}
-- app user × session × day × quarter of an hour, platform and device: events grow with time, what follows counts none again
with events as (
    select * from {{ ref('stg_app__events') }}
),

-- no time zone differs from another by less than a quarter of an hour
timed as (
    select
        *,
        hour(occurred_at) * 4 + floor(minute(occurred_at) / 15) as quarter_of_day
    from events
),

sessions as (
    select
        part,
        source_system,
        user_id,
        session_id,
        event_date,
        cast(quarter_of_day as integer) as quarter_of_day,
        platform,
        device,
        min(occurred_at) as first_activity_at,
        count(*) as events_count,
        min(case when event_name in ('product_added_to_cart', 'checkout_started') then occurred_at end) as first_cart_at
    from timed
    group by part, source_system, user_id, session_id, event_date, quarter_of_day, platform, device
)

select * from sessions
