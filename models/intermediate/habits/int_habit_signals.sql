-- person × what their habits or their subscription call for, what of (a step, a feature, a plan, a product) and in words
with habits as (
    select * from {{ ref('customer_habits') }}
),

customers as (
    select * from {{ ref('customers') }}
    where stage != 'erased'
),

subscriptions as (
    select * from {{ ref('subscriptions') }}
    where is_upgrade_candidate
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

people as (
    select
        habits.*,
        customers.stage,
        as_of.as_of_date,
        habits.wished_not_bought
        and cast(habits.last_wished_at as date) > {{ add_days('as_of.as_of_date', '-' ~ var('wished_days')) }} as is_wished,
        habits.viewed_not_bought
        and cast(habits.last_viewed_at as date) > {{ add_days('as_of.as_of_date', '-' ~ var('browsed_days')) }} as is_browsed
    from habits
    inner join customers on habits.person_id = customers.person_id
    cross join as_of
),

-- a wish says more than a look
products as (
    select
        person_id,
        case when is_wished then last_wished_product_id else last_viewed_product_id end as product_id,
        case when is_wished then last_wished_product_name else last_viewed_product_name end as product_name,
        case when is_wished then 'wished for' else 'looked at' end as deed,
        cast(case when is_wished then last_wished_at else last_viewed_at end as date) as last_on
    from people
    where is_wished or is_browsed
),

upgrades as (
    select
        person_id,
        max(next_plan) as next_plan,
        min(plan) as plan
    from subscriptions
    group by person_id
),

unioned as (
    -- whoever is at risk or lapsed is called back for that
    select
        person_id,
        'slipping_habit' as signal,
        cast(null as string) as subject_id,
        cast(null as string) as subject,
        'away for ' || cast(disuse_days as string) || ' days, '
        || cast(cast(round(median_days_between) as integer) as string) || ' between visits are usual' as detail
    from people
    where is_slipping and stage not in ('at_risk', 'lapsed')

    union all

    select
        person_id,
        'onboarding_stuck' as signal,
        next_onboarding_step as subject_id,
        next_onboarding_step as subject,
        'next step ' || next_onboarding_step || ', ' || cast(onboarding_steps_done as string) || ' of '
        || cast(onboarding_steps as string) || ' done' as detail
    from people
    where
        next_onboarding_step is not null
        and active_days_30d > 0
        and {{ days_between('first_active_date', 'as_of_date') }} >= {{ var('stuck_after_days') }}

    union all

    select
        person_id,
        'feature_not_found' as signal,
        missing_key_feature as subject_id,
        missing_key_feature as subject,
        'never used ' || missing_key_feature as detail
    from people
    where next_onboarding_step is null and missing_key_feature is not null and active_days_30d > 0

    union all

    select
        person_id,
        'upgrade_candidate' as signal,
        next_plan as subject_id,
        next_plan as subject,
        'pays for ' || plan || ' and uses it as those do who pay for ' || next_plan as detail
    from upgrades

    union all

    select
        person_id,
        'browsed_not_bought' as signal,
        product_id as subject_id,
        product_name as subject,
        deed || ' ' || product_name || ' on ' || cast(last_on as string) as detail
    from products
)

select * from unioned
