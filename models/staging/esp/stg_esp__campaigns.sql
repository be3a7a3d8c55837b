with campaigns as (
    {{ canonical_rows('esp', 'campaigns') }}
),

cleaned as (
    select
        -- ids
        source_system,
        campaign_id,
        -- text
        campaign_name,
        lower(stage) as stage,
        lower(channel) as channel,
        activity,
        lower(campaign_type) as campaign_type,
        goal_metric,
        {{ currency_code('currency') }} as currency,
        -- numerics
        cost,
        -- booleans
        coalesce(is_always_on, false) as is_always_on,
        -- timestamps
        started_at,
        ended_at
    from campaigns
)

select * from cleaned
