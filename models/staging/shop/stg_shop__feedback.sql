with feedback as (
    select * from {{ ref('base_shop__feedback') }}
    where row_status = 'staged'
),

cleaned as (
    select
        -- ids
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
