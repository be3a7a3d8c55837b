{{ config(materialized='by_part', parts_of='base_app__events') }}
-- app user × day × what they did that is asked for by name: steps, features, products viewed and wished for, places
with events as (
    select * from {{ ref('stg_app__events') }}
    where
        (event_name in ('onboarding_step_completed', 'feature_used') and detail is not null)
        or (event_name in ('product_viewed', 'product_wished') and product_id is not null)
        or (event_name in ('location_searched', 'location_added') and city is not null)
),

named as (
    select
        *,
        case when event_name in ('onboarding_step_completed', 'feature_used') then detail end as name,
        case when event_name in ('location_searched', 'location_added') then city end as place,
        case
            when event_name in ('product_viewed', 'product_wished')
                then cast(occurred_at as string) || ' ' || source_system || ' ' || event_id
        end as sequence
    from events
),

days as (
    select
        part,
        source_system,
        user_id,
        event_date,
        event_name,
        name,
        place,
        min(occurred_at) as first_at,
        max(occurred_at) as last_at,
        max_by(product_id, sequence) as last_product_id,
        max(sequence) as last_sequence
    from named
    group by part, source_system, user_id, event_date, event_name, name, place
)

select * from days
