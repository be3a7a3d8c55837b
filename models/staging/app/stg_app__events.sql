with events as (
    select * from {{ ref('base_app__events') }}
    where row_status = 'staged'
),

cleaned as (
    select
        -- ids
        event_id,
        user_id,
        session_id,
        product_id,
        -- text
        event_name,
        platform,
        city,
        -- timestamps
        occurred_at,
        cast(occurred_at as date) as event_date
    from events
)

select * from cleaned
