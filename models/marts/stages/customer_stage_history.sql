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

-- an order decides until the next one comes; every order of the day of a comeback belongs to it
spells as (
    select
        orders.person_id,
        orders.ordered_at,
        orders.order_date,
        orders.order_number,
        {{ add_days('orders.order_date', '-orders.days_since_previous_order') }} as previous_order_date,
        coalesce(lead(orders.ordered_at) over by_number, as_of.as_of_end) as ends_at,
        1 + sum(case when orders.days_since_previous_order > thresholds.lapsed_after_days then 1 else 0 end) over by_number
            as cycle_number,
        max(case when orders.days_since_previous_order > thresholds.lapsed_after_days then orders.order_date end)
            over by_number as last_comeback_date,
        thresholds.new_days,
        thresholds.at_risk_after_days,
        thresholds.lapsed_after_days
    from orders
    cross join thresholds
    cross join as_of
    window by_number as (partition by orders.person_id order by orders.order_number)
),

-- fresh: new or reactivated for new_days, unless the next order comes first
judged_spells as (
    select
        *,
        order_number = 1 or coalesce(order_date = last_comeback_date, false) as is_fresh,
        order_number = 2 or coalesce(previous_order_date = last_comeback_date, false) as is_previous_fresh,
        {{ settled_stage('order_number') }} as settled_stage,
        cast({{ add_days('order_date', 'new_days + 1') }} as timestamp) as settles_at,
        cast({{ add_days('order_date', 'at_risk_after_days + 1') }} as timestamp) as at_risk_at,
        cast({{ add_days('order_date', 'lapsed_after_days + 1') }} as timestamp) as lapsed_at
    from spells
),

-- the stage that an order finds and the one that it opens
staged_spells as (
    select
        *,
        case
            when order_number = 1 then 'new'
            when is_fresh then 'reactivated'
            else settled_stage
        end as stage,
        case
            when order_number = 1 then 'no order yet'
            when cast({{ add_days('previous_order_date', 'lapsed_after_days + 1') }} as timestamp) < ordered_at then 'lapsed'
            when cast({{ add_days('previous_order_date', 'at_risk_after_days + 1') }} as timestamp) < ordered_at then 'at_risk'
            when
                not is_previous_fresh
                or cast({{ add_days('previous_order_date', 'new_days + 1') }} as timestamp) < ordered_at
                then {{ settled_stage('order_number - 1') }}
            when order_number = 2 then 'new'
            else 'reactivated'
        end as previous_stage
    from judged_spells
),

order_stages as (
    select
        person_id,
        ordered_at as entered_at,
        stage,
        order_number,
        cycle_number,
        order_date
    from staged_spells
    where stage != previous_stage

    union all

    select
        person_id,
        settles_at as entered_at,
        settled_stage as stage,
        order_number,
        cycle_number,
        order_date
    from staged_spells
    -- no longer new on the very day that puts at risk
    where is_fresh and settles_at < ends_at and settles_at < at_risk_at

    union all

    select
        person_id,
        at_risk_at as entered_at,
        'at_risk' as stage,
        order_number,
        cycle_number,
        order_date
    from staged_spells
    where at_risk_at < ends_at

    union all

    select
        person_id,
        lapsed_at as entered_at,
        'lapsed' as stage,
        order_number,
        cycle_number,
        order_date
    from staged_spells
    where lapsed_at < ends_at
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
),

erasures as (
    select
        people.person_id,
        greatest(erased_people.erased_at, people.first_seen_at) as erased_at
    from erased_people
    inner join people on erased_people.person_id = people.person_id
    inner join as_of on erased_people.erased_at < as_of.as_of_end
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

-- of two orders at the same moment the first is over at once
changes as (
    select
        *,
        lead(entered_at) over (partition by person_id order by entered_at, orders_count) as exited_at
    from with_erasure
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
        {{ days_between('changes.last_order_date', 'cast(changes.entered_at as date)') }} as days_since_last_order,
        thresholds.at_risk_after_days,
        thresholds.at_risk_source,
        thresholds.lapsed_after_days,
        thresholds.lapsed_source
    from changes
    cross join thresholds
    where changes.exited_at is null or changes.entered_at < changes.exited_at
)

select * from final
