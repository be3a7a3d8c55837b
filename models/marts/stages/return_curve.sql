-- a spell without an order begins on an order day and ends with the next one, if any; each adds +1 / -1 where it
-- begins and ceases to count, and running sums do the rest: no spell × day
{%- set follow_up_days = 90 %}
with order_days as (
    select * from {{ ref('int_order_days') }}
),

thresholds as (
    select * from {{ ref('stage_thresholds') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

spells as (
    select
        order_days.order_date,
        lead(order_days.gap_days) over (partition by order_days.person_id order by order_days.order_date) as next_gap_days
    from order_days
),

-- the days since the order on which a spell was still open, can be followed for 90 more, and will end within them
followed as (
    select
        -- null if it never ends
        case when spells.next_gap_days is not null then greatest(spells.next_gap_days - {{ follow_up_days }}, 0) end
            as returns_from_day,
        least(
            {{ days_between('spells.order_date', 'as_of.as_of_date') }} - {{ follow_up_days }},
            coalesce(spells.next_gap_days - 1, {{ days_between('spells.order_date', 'as_of.as_of_date') }})
        ) as last_day
    from spells
    cross join as_of
),

changes as (
    select
        0 as days_since_last_order,
        count(*) as spells,
        0 as came_back
    from followed
    where last_day >= 0

    union all

    select
        last_day + 1 as days_since_last_order,
        -count(*) as spells,
        0 as came_back
    from followed
    where last_day >= 0
    group by last_day

    union all

    select
        returns_from_day as days_since_last_order,
        0 as spells,
        count(*) as came_back
    from followed
    where last_day >= returns_from_day
    group by returns_from_day

    union all

    select
        last_day + 1 as days_since_last_order,
        0 as spells,
        -count(*) as came_back
    from followed
    where last_day >= returns_from_day
    group by last_day
),

daily_changes as (
    select
        days_since_last_order,
        sum(spells) as spells,
        sum(came_back) as came_back
    from changes
    group by days_since_last_order
),

-- as far as there is anybody to follow, and at least to the thresholds
bounds as (
    select greatest(max(thresholds.lapsed_after_days), coalesce(max(daily_changes.days_since_last_order) - 1, 0)) as last_day
    from thresholds
    left join daily_changes on true
),

days as (
    select {{ numbers('0', 'bounds.last_day') }}
    from bounds
),

running as (
    select
        days.number as days_since_last_order,
        cast(sum(coalesce(daily_changes.spells, 0)) over so_far as bigint) as spells,
        cast(sum(coalesce(daily_changes.came_back, 0)) over so_far as bigint) as came_back
    from days
    left join daily_changes on days.number = daily_changes.days_since_last_order
    window so_far as (order by days.number)
),

final as (
    select
        running.days_since_last_order,
        running.spells,
        running.came_back,
        {{ ratio('running.came_back', 'running.spells') }} as return_share,
        running.days_since_last_order = thresholds.at_risk_after_days as is_at_risk_threshold,
        running.days_since_last_order = thresholds.lapsed_after_days as is_lapsed_threshold
    from running
    cross join thresholds
)

select * from final
