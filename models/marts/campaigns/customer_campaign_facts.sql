with customers as (
    select * from {{ ref('customers') }}
),

loyalty_tiers as (
    select * from {{ ref('int_loyalty_tiers') }}
),

replacements as (
    select * from {{ ref('int_replacements') }}
    where is_first_due
),

customer_values as (
    select * from {{ ref('int_customer_values') }}
),

next_products as (
    select * from {{ ref('int_next_products') }}
),

advocates as (
    select * from {{ ref('int_advocates') }}
),

habits as (
    select * from {{ ref('customer_habits') }}
),

signals as (
    select * from {{ ref('int_habit_signals') }}
),

next_best_actions as (
    select * from {{ ref('int_next_best_actions') }}
),

final as (
    select
        customers.person_id,
        customers.first_seen_at,
        -- loyalty
        coalesce(loyalty_tiers.tier, 'none') as loyalty_tier,
        loyalty_tiers.benefits as loyalty_benefits,
        loyalty_tiers.tier_until as loyalty_tier_until,
        loyalty_tiers.missing_to_keep as missing_to_keep_tier,
        loyalty_tiers.keep_basis as keep_tier_basis,
        loyalty_tiers.next_tier as next_loyalty_tier,
        loyalty_tiers.missing_to_next as missing_to_next_tier,
        loyalty_tiers.next_basis as next_tier_basis,
        -- value
        customers.net_revenue as historic_value,
        coalesce(customer_values.orders_a_year, 0) as orders_a_year,
        {{ money('coalesce(customer_values.simple_clv, 0)') }} as simple_clv,
        -- products
        replacements.product_key as replacement_product_key,
        replacements.product_name as replacement_product,
        replacements.due_on as replacement_due_on,
        next_products.next_product_key,
        next_products.next_product_name as next_product,
        next_products.because_product_name as next_product_because_of,
        browsed.subject_id as browsed_product_id,
        browsed.subject as browsed_product,
        -- app and subscription
        habits.disuse_days,
        habits.next_onboarding_step,
        habits.missing_key_feature,
        upgrades.subject as next_plan,
        -- contact
        habits.preferred_weekday,
        habits.preferred_hour,
        advocates.person_id is not null as is_advocate,
        coalesce(next_best_actions.messages_count, 0) as contact_pressure,
        coalesce(next_best_actions.is_fatigued, false) as is_fatigued,
        coalesce(next_best_actions.next_best_action, 'none') as next_best_action,
        coalesce(next_best_actions.channel, 'none') as next_best_channel,
        next_best_actions.objective as next_best_objective,
        next_best_actions.message_idea,
        coalesce(next_best_actions.why, 'erased') as why
    from customers
    left join loyalty_tiers on customers.person_id = loyalty_tiers.person_id
    left join customer_values on customers.person_id = customer_values.person_id
    left join replacements on customers.person_id = replacements.person_id
    left join next_products on customers.person_id = next_products.person_id
    left join habits on customers.person_id = habits.person_id
    left join signals as browsed on customers.person_id = browsed.person_id and browsed.signal = 'browsed_not_bought'
    left join signals as upgrades on customers.person_id = upgrades.person_id and upgrades.signal = 'upgrade_candidate'
    left join advocates on customers.person_id = advocates.person_id
    left join next_best_actions on customers.person_id = next_best_actions.person_id
)

select * from final
