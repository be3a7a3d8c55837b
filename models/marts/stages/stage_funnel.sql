with stage_history as (
    select * from {{ ref('customer_stage_history') }}
),

lifecycle_stages as (
    select * from {{ ref('lifecycle_stages') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

spells as (
    select
        stage_history.stage,
        coalesce(lead(stage_history.stage) over by_time, stage_history.stage) as next_stage,
        lead(stage_history.orders_count) over by_time as next_orders_count,
        lead(stage_history.days_since_last_order) over by_time as next_days_since_last_order,
        {{ days_between(
            'cast(stage_history.entered_at as date)',
            'coalesce(cast(stage_history.exited_at as date), as_of.as_of_date)'
        ) }} as days
    from stage_history
    cross join as_of
    window by_time as (partition by stage_history.person_id order by stage_history.entered_at)
),

-- an order opens the next spell on its own day; of the stages without an order, a later one means more interest
judged as (
    select
        spells.stage,
        spells.next_stage,
        spells.days,
        coalesce(
            spells.next_days_since_last_order = 0
            or (spells.next_orders_count = 0 and next_stages.position > stages.position),
            false
        ) as is_converted
    from spells
    inner join lifecycle_stages as stages on spells.stage = stages.stage
    inner join lifecycle_stages as next_stages on spells.next_stage = next_stages.stage
),

moved as (
    select
        stage,
        next_stage,
        count(*) as moved,
        count_if(is_converted) as converted,
        percentile_cont(0.5) within group (order by cast(days as double)) as median_days
    from judged
    group by stage, next_stage
),

cells as (
    select
        stages.position,
        stages.stage,
        next_stages.stage as next_stage,
        'from: ' || stages.label as from_label,
        case when stages.stage = next_stages.stage then 'still: ' else 'to: ' end || next_stages.label as to_label,
        coalesce(moved.moved, 0) as moved,
        cast(coalesce(moved.converted, 0) as bigint) as converted,
        cast(
            case when stages.stage = next_stages.stage then 0 else coalesce(moved.moved - moved.converted, 0) end as bigint
        ) as leaked,
        moved.median_days
    from lifecycle_stages as stages
    cross join lifecycle_stages as next_stages
    left join moved on stages.stage = moved.stage and next_stages.stage = moved.next_stage
),

with_entered as (
    select
        *,
        cast(sum(moved) over (partition by stage) as bigint) as entered
    from cells
),

final as (
    select
        position,
        stage,
        next_stage,
        from_label,
        to_label,
        entered,
        moved,
        converted,
        leaked,
        {{ ratio('converted', 'entered') }} as conversion,
        {{ ratio('leaked', 'entered') }} as leakage,
        median_days
    from with_entered
)

select * from final
