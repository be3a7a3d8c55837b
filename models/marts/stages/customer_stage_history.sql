-- built from the moments at which a stage can change, never from person × day
with people as (
    select * from {{ ref('int_person_facts') }}
),

orders as (
    select * from {{ ref('orders') }}
    where person_id is not null
),

prospect_stages as (
    select * from {{ ref('int_prospect_stages') }}
),

erased_people as (
    select * from {{ ref('int_erased_people') }}
),

thresholds as (
    select * from {{ ref('stage_thresholds') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

-- what an order opens until the next one comes; every order of the day of a comeback belongs to it
spells as (
    select
        orders.person_id,
        orders.ordered_at,
        orders.order_date,
        orders.order_number,
        orders.days_since_previous_order,
        lag(orders.ordered_at) over by_number as previous_ordered_at,
        lead(orders.ordered_at) over by_number as next_ordered_at,
        1 + sum(case when orders.days_since_previous_order > thresholds.lapsed_after_days then 1 else 0 end) over by_number
            as cycle_number,
        max(case when orders.days_since_previous_order > thresholds.lapsed_after_days then orders.order_date end)
            over by_number as last_comeback_date,
        thresholds.new_days,
        thresholds.at_risk_after_days,
        thresholds.lapsed_after_days
    from orders
    cross join thresholds
    window by_number as (partition by orders.person_id order by orders.order_number)
),

judged_spells as (
    select
        *,
        order_number = 1 or coalesce(order_date = last_comeback_date, false) as is_fresh,
        -- surely in the stage of the order before: not worth sorting again. What this leaves in is merged below
        order_number not in (1, 2, {{ var('loyal_min_orders') }})
        and previous_ordered_at < ordered_at
        and days_since_previous_order <= at_risk_after_days
        and coalesce(order_date - last_comeback_date != days_since_previous_order, true) as is_more_of_the_same
    from spells
),

order_stages as (
    select
        person_id,
        ordered_at as entered_at,
        next_ordered_at,
        case when order_number = 1 then 'new' else 'reactivated' end as stage,
        order_number,
        cycle_number,
        order_date
    from judged_spells
    where is_fresh

    union all

    select
        person_id,
        case
            when is_fresh then cast({{ add_days('order_date', 'new_days + 1') }} as timestamp)
            else ordered_at
        end as entered_at,
        next_ordered_at,
        case
            when order_number >= {{ var('loyal_min_orders') }} then 'loyal'
            when order_number >= 2 then 'repeat'
            else 'one_time'
        end as stage,
        order_number,
        cycle_number,
        order_date
    from judged_spells
    -- no longer new on the very day that puts at risk
    where (not is_fresh or new_days < at_risk_after_days) and not is_more_of_the_same

    union all

    select
        person_id,
        cast({{ add_days('order_date', 'at_risk_after_days + 1') }} as timestamp) as entered_at,
        next_ordered_at,
        'at_risk' as stage,
        order_number,
        cycle_number,
        order_date
    from judged_spells

    union all

    select
        person_id,
        cast({{ add_days('order_date', 'lapsed_after_days + 1') }} as timestamp) as entered_at,
        next_ordered_at,
        'lapsed' as stage,
        order_number,
        cycle_number,
        order_date
    from judged_spells
),

moments as (
    select
        person_id,
        entered_at,
        stage,
        rule,
        0 as orders_count,
        1 as cycle_number,
        cast(null as date) as last_order_date
    from prospect_stages

    union all

    select
        person_id,
        entered_at,
        stage,
        null as rule,
        order_number as orders_count,
        cycle_number,
        order_date as last_order_date
    from order_stages
    where entered_at < next_ordered_at or next_ordered_at is null
),

erasures as (
    select
        people.person_id,
        greatest(erased_people.erased_at, people.first_seen_at) as erased_at
    from erased_people
    inner join people on erased_people.person_id = people.person_id
),

with_erasure as (
    select moments.*
    from moments
    left join erasures on moments.person_id = erasures.person_id
    where erasures.person_id is null or moments.entered_at < erasures.erased_at

    union all

    select
        person_id,
        erased_at as entered_at,
        'erased' as stage,
        'erased_on_request' as rule,
        null as orders_count,
        null as cycle_number,
        null as last_order_date
    from erasures
),

until_as_of as (
    select with_erasure.*
    from with_erasure
    inner join as_of on with_erasure.entered_at < as_of.as_of_end
),

with_previous as (
    select
        *,
        lag(stage) over (partition by person_id order by entered_at) as previous_stage
    from until_as_of
),

changes as (
    select
        *,
        lead(entered_at) over (partition by person_id order by entered_at) as exited_at
    from with_previous
    where previous_stage is null or stage != previous_stage
),

final as (
    select
        changes.person_id,
        changes.stage,
        changes.entered_at,
        changes.exited_at,
        coalesce(
            changes.rule,
            case changes.stage
                when 'new' then 'first_order'
                when 'reactivated' then 'order_after_lapse'
                when 'one_time' then 'one_order'
                when 'repeat' then 'two_orders_or_more'
                when 'loyal' then 'loyal_min_orders_reached'
                when 'at_risk' then 'at_risk_after_days_passed'
                when 'lapsed' then 'lapsed_after_days_passed'
            end
        ) as rule,
        cast(changes.cycle_number as integer) as cycle_number,
        cast(changes.orders_count as bigint) as orders_count,
        cast(changes.entered_at as date) - changes.last_order_date as days_since_last_order,
        thresholds.at_risk_after_days,
        thresholds.at_risk_source,
        thresholds.lapsed_after_days,
        thresholds.lapsed_source
    from changes
    cross join thresholds
)

select * from final
