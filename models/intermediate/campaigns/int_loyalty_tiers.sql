-- person × loyalty tier at as_of_date, with what is missing to the next one and to keep this one
with people as (
    select * from {{ ref('int_person_facts') }}
),

erased_people as (
    select * from {{ ref('int_erased_people') }}
),

orders as (
    select * from {{ ref('int_orders') }}
    where person_id is not null
),

loyalty_tiers as (
    select * from {{ ref('loyalty_tiers') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

tiers as (
    select
        *,
        lead(position) over (order by position) as next_position
    from loyalty_tiers
),

measures as (
    select distinct
        basis,
        window_days
    from tiers
),

order_days as (
    select
        orders.person_id,
        measures.basis,
        measures.window_days,
        orders.order_date,
        sum(case when measures.basis = 'count' then 1 else orders.net_amount end) as amount
    from orders
    cross join measures
    cross join as_of
    where orders.order_date > {{ add_days('as_of.as_of_date', '-measures.window_days') }}
    group by orders.person_id, measures.basis, measures.window_days, orders.order_date
),

running as (
    select
        order_days.*,
        sum(order_days.amount) over (
            partition by order_days.person_id, order_days.basis, order_days.window_days
            order by order_days.order_date desc
        ) as amount_since,
        {{ add_days('order_days.order_date', 'order_days.window_days - 1') }} as counts_until,
        {{ add_days('as_of.as_of_date', var('tier_review_days')) }} as reviewed_on
    from order_days
    cross join as_of
),

amounts as (
    select
        person_id,
        basis,
        window_days,
        sum(amount) as amount,
        sum(case when counts_until >= reviewed_on then amount else 0 end) as amount_at_review
    from running
    group by person_id, basis, window_days
),

person_tiers as (
    select
        people.person_id,
        tiers.position,
        tiers.tier,
        tiers.basis,
        tiers.window_days,
        tiers.threshold,
        tiers.benefits,
        tiers.next_position,
        coalesce({{ tier_amount('amounts.amount', 'tiers.basis') }}, 0) as amount,
        coalesce({{ tier_amount('amounts.amount_at_review', 'tiers.basis') }}, 0) as amount_at_review
    from people
    cross join tiers
    left join amounts
        on
            people.person_id = amounts.person_id
            and tiers.basis = amounts.basis
            and tiers.window_days = amounts.window_days
    where people.person_id not in (select erased_people.person_id from erased_people)
),

-- the highest tier whose own threshold is reached; null before the first
reached as (
    select
        person_id,
        max(case when amount >= threshold then position end) as position,
        min(position) as first_position
    from person_tiers
    group by person_id
),

-- the day on which the newest orders that reach the threshold begin to fall out of the window
lasting as (
    select
        held.person_id,
        max(running.counts_until) as tier_until
    from reached
    inner join person_tiers as held on reached.person_id = held.person_id and reached.position = held.position
    inner join running
        on
            held.person_id = running.person_id
            and held.basis = running.basis
            and held.window_days = running.window_days
    where {{ tier_amount('running.amount_since', 'held.basis') }} >= held.threshold
    group by held.person_id
),

final as (
    select
        reached.person_id,
        coalesce(held.tier, 'none') as tier,
        held.benefits,
        lasting.tier_until,
        {{ money('case when held.tier is not null then greatest(held.threshold - held.amount_at_review, 0) end') }}
            as missing_to_keep,
        held.basis as keep_basis,
        next_tier.tier as next_tier,
        {{ money('next_tier.threshold - next_tier.amount') }} as missing_to_next,
        next_tier.basis as next_basis,
        coalesce(
            next_tier.threshold - next_tier.amount <= next_tier.threshold * {{ var('tier_near_share') }}, false
        ) as is_near_next_tier,
        coalesce(held.amount_at_review < held.threshold, false) as is_losing_tier
    from reached
    left join person_tiers as held on reached.person_id = held.person_id and reached.position = held.position
    left join lasting on reached.person_id = lasting.person_id
    left join person_tiers as next_tier
        on
            reached.person_id = next_tier.person_id
            and next_tier.position = case when held.tier is null then reached.first_position else held.next_position end
)

select * from final
