{{ config(materialized='by_part', parts_of='base_app__events') }}
-- product views, of an app user and day as many as make somebody evaluating: more of them tell nothing new
with events as (
    select * from {{ ref('stg_app__events') }}
    where event_name = 'product_viewed'
),

ranked as (
    select
        *,
        row_number() over (
            partition by part, source_system, user_id, event_date
            order by occurred_at, event_id
        ) as view_of_day
    from events
),

views as (
    select
        part,
        source_system,
        user_id,
        event_id,
        occurred_at,
        event_date
    from ranked
    where view_of_day <= {{ var('evaluating_product_views') }}
)

select * from views
