with feedback as (
    {{ canonical_rows('shop', 'feedback') }}
),

cleaned as (
    select
        -- ids
        source_system,
        feedback_id,
        customer_id,
        -- text
        lower(kind) as kind,
        -- numerics
        score,
        -- timestamps
        submitted_at
    from feedback
)

select * from cleaned
