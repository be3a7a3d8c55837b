-- person × signal of the playbook that holds, with what it is about in words
with customers as (
    select * from {{ ref('customers') }}
    where stage != 'erased'
),

replacements as (
    select * from {{ ref('int_replacements') }}
    where is_first_due
),

next_products as (
    select * from {{ ref('int_next_products') }}
),

loyalty_tiers as (
    select * from {{ ref('int_loyalty_tiers') }}
),

advocates as (
    select * from {{ ref('int_advocates') }}
),

habit_signals as (
    select * from {{ ref('int_habit_signals') }}
),

extra_locations as (
    select
        person_id,
        count(*) as locations
    from {{ ref('customer_locations') }}
    where is_default or is_added
    group by person_id
    having count(*) > 1
),

unioned as (
    select
        person_id,
        'any' as signal,
        cast(null as string) as detail
    from customers

    union all

    select
        person_id,
        'replacement_due' as signal,
        product_name || ' is due on ' || cast(due_on as string) as detail
    from replacements

    union all

    select
        person_id,
        'next_product' as signal,
        'bought ' || because_product_name || ', and '
        || cast(cast(round(100 * confidence) as integer) as string) || ' % of such baskets hold ' || next_product_name
            as detail
    from next_products

    union all

    select
        person_id,
        'near_next_tier' as signal,
        cast(cast(missing_to_next as decimal(18, 2)) as string) || ' (' || next_basis || ') to ' || next_tier
            as detail
    from loyalty_tiers
    where is_near_next_tier

    union all

    select
        person_id,
        'losing_tier' as signal,
        tier || ' until ' || cast(tier_until as string) || ', '
        || cast(cast(missing_to_keep as decimal(18, 2)) as string) || ' (' || keep_basis || ') keep it' as detail
    from loyalty_tiers
    where is_losing_tier

    union all

    select
        person_id,
        'advocate' as signal,
        case
            when nps_score is null then cast(successful_referrals as string) || ' invited people came'
            else 'would recommend us: ' || cast(nps_score as string) || ' of 10'
        end as detail
    from advocates

    union all

    select
        person_id,
        'multi_location' as signal,
        cast(locations as string) || ' places' as detail
    from extra_locations

    union all

    select
        person_id,
        signal,
        detail
    from habit_signals
)

select * from unioned
