-- person × what they did in the app that is asked for by name: steps, features, products viewed and wished for
with events as (
    select * from {{ ref('stg_app__events') }}
    where
        (event_name in ('onboarding_step_completed', 'feature_used') and detail is not null)
        or (event_name in ('product_viewed', 'product_wished') and product_id is not null)
),

goals as (
    select * from {{ ref('int_app_goals') }}
),

identity_map as (
    select * from {{ ref('int_identity_map') }}
    where role = 'app'
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

kinds as (
    select
        identity_map.person_id,
        case events.event_name
            when 'onboarding_step_completed' then 'step'
            when 'feature_used' then 'feature'
            when 'product_viewed' then 'viewed'
            else 'wished'
        end as kind,
        events.detail,
        events.product_id,
        events.occurred_at,
        cast(events.occurred_at as string) || ' ' || events.source_system || ' ' || events.event_id as sequence
    from events
    inner join identity_map
        on events.source_system = identity_map.source and events.user_id = identity_map.source_id
    inner join as_of on events.event_date <= as_of.as_of_date
),

-- a step or feature that no seed names is activity only
marks as (
    select
        kinds.*,
        goals.name
    from kinds
    left join goals on kinds.kind = goals.kind and kinds.detail = goals.name
    where goals.name is not null or kinds.kind in ('viewed', 'wished')
),

final as (
    select
        person_id,
        kind,
        name,
        min(occurred_at) as first_at,
        max(occurred_at) as last_at,
        max_by(product_id, sequence) as last_product_id
    from marks
    group by person_id, kind, name
)

select * from final
