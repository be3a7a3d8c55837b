with events as (
    {{ canonical_rows('app', 'events') }}
),

cleaned as (
    select
        -- ids
        source_system,
        event_id,
        user_id,
        session_id,
        product_id,
        -- text
        event_name,
        platform,
        city,
        device,
        detail,
        -- timestamps
        occurred_at,
        cast(occurred_at as date) as event_date,
        -- where the row is from, of tables that are kept by part
        part
    from events
)

select * from cleaned
