{%- set habit_days = 30 -%}
with erased_people as (
    select * from {{ ref('int_erased_people') }}
),

subscriptions as (
    select * from {{ ref('int_subscriptions') }}
    where person_id is null or person_id not in (select erased_people.person_id from erased_people)
),

activity_days as (
    select * from {{ ref('int_activity_days') }}
    where events_count > 0
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

-- a plan is sold as long as somebody pays for it
plans as (
    select
        source,
        plan,
        {{ money_per('sum(monthly_price)', 'count(*)') }} as plan_price
    from subscriptions
    where is_active and plan is not null
    group by source, plan
),

-- of plans at one price the first by name
price_steps as (
    select
        source,
        plan_price,
        lead(min(plan)) over (partition by source order by plan_price) as next_plan
    from plans
    group by source, plan_price
),

next_plans as (
    select
        plans.source,
        plans.plan,
        plans.plan_price,
        price_steps.next_plan
    from plans
    inner join price_steps on plans.source = price_steps.source and plans.plan_price = price_steps.plan_price
),

active_days as (
    select
        activity_days.person_id,
        count(*) as active_days
    from activity_days
    inner join as_of
        on activity_days.activity_date >= {{ add_days('as_of.as_of_date', 1 - habit_days) }}
    group by activity_days.person_id
),

subscribers as (
    select distinct
        source,
        plan,
        person_id
    from subscriptions
    where is_active and plan is not null and person_id is not null
),

plan_habits as (
    select
        subscribers.source,
        subscribers.plan,
        percentile_cont(0.5) within group (order by cast(coalesce(active_days.active_days, 0) as double)) as median_active_days
    from subscribers
    left join active_days on subscribers.person_id = active_days.person_id
    group by subscribers.source, subscribers.plan
),

-- whoever has several plans is judged by the dearest
judged as (
    select
        subscriptions.*,
        next_plans.next_plan,
        coalesce(
            subscriptions.is_active
            and {{ days_between('subscriptions.paid_from', 'as_of.as_of_date') }} >= {{ var('upgrade_after_days') }}
            and active_days.active_days >= plan_habits.median_active_days
            and next_plans.plan_price = max(case when subscriptions.is_active then next_plans.plan_price end) over (
                partition by subscriptions.person_id
            ),
            false
        ) as is_upgrade_candidate,
        as_of.as_of_date
    from subscriptions
    cross join as_of
    left join next_plans on subscriptions.source = next_plans.source and subscriptions.plan = next_plans.plan
    left join active_days on subscriptions.person_id = active_days.person_id
    left join plan_habits on next_plans.source = plan_habits.source and next_plans.next_plan = plan_habits.plan
),

final as (
    select
        subscription_key,
        source,
        subscription_id,
        person_id,
        plan,
        status,
        interval,
        monthly_price,
        started_at,
        trial_ends_at,
        case when has_paid then paid_from end as paid_from,
        renewed_at,
        paused_at,
        cancelled_at,
        trial_ends_on is not null and trial_ended_on is null as is_trial,
        is_active,
        case when trial_ended_on is not null then has_paid end as is_converted,
        next_plan,
        is_upgrade_candidate
    from judged
)

select * from final
