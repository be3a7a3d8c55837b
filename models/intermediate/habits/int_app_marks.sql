-- person × what they did in the app that is asked for by name: steps, features, products viewed and wished for
with user_days as (
    select * from {{ ref('int_app_user_days') }}
    where place is null
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
        case user_days.event_name
            when 'onboarding_step_completed' then 'step'
            when 'feature_used' then 'feature'
            when 'product_viewed' then 'viewed'
            else 'wished'
        end as kind,
        user_days.name as named,
        user_days.first_at,
        user_days.last_at,
        user_days.last_product_id,
        user_days.last_sequence
    from user_days
    inner join identity_map
        on user_days.source_system = identity_map.source and user_days.user_id = identity_map.source_id
    inner join as_of on user_days.event_date <= as_of.as_of_date
),

-- a step or feature that no seed names is activity only
marks as (
    select
        kinds.*,
        goals.name
    from kinds
    left join goals on kinds.kind = goals.kind and kinds.named = goals.name
    where goals.name is not null or kinds.kind in ('viewed', 'wished')
),

final as (
    select
        person_id,
        kind,
        name,
        min(first_at) as first_at,
        max(last_at) as last_at,
        max_by(last_product_id, last_sequence) as last_product_id
    from marks
    group by person_id, kind, name
)

select * from final
