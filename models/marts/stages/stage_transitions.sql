-- only spells that outlive a month are seen at its end; whoever has none that begins in a month stays where they were
with stage_history as (
    select * from {{ ref('customer_stage_history') }}
),

lifecycle_stages as (
    select * from {{ ref('lifecycle_stages') }}
),

int_months as (
    select * from {{ ref('int_months') }}
),

seen_at_month_end as (
    select
        person_id,
        stage,
        entered_at,
        cast(date_trunc('month', entered_at) as date) as month
    from stage_history
    where exited_at is null or date_trunc('month', exited_at) > date_trunc('month', entered_at)
),

moves as (
    select
        month,
        stage as to_stage,
        coalesce(lag(stage) over (partition by person_id order by entered_at), 'first_seen') as from_stage
    from seen_at_month_end
),

moved as (
    select
        month,
        from_stage,
        to_stage,
        count(*) as people
    from moves
    group by month, from_stage, to_stage
),

months as (
    select *
    from int_months
    where month >= (select min(moved.month) from moved)
),

from_stages as (
    select
        stage,
        label
    from lifecycle_stages

    union all

    select
        'first_seen' as stage,
        'First seen' as label
),

cells as (
    select
        months.month,
        months.is_complete,
        from_stages.stage as from_stage,
        lifecycle_stages.stage as to_stage,
        'from: ' || from_stages.label as from_label,
        'to: ' || lifecycle_stages.label as to_label,
        coalesce(moved.people, 0) as moved
    from months
    cross join from_stages
    cross join lifecycle_stages
    left join moved
        on
            months.month = moved.month
            and from_stages.stage = moved.from_stage
            and lifecycle_stages.stage = moved.to_stage
),

stage_changes as (
    select
        month,
        to_stage as stage,
        moved as change
    from cells

    union all

    select
        month,
        from_stage as stage,
        -moved as change
    from cells
    where from_stage != 'first_seen'
),

monthly_changes as (
    select
        month,
        stage,
        sum(change) as change
    from stage_changes
    group by month, stage
),

stocks as (
    select
        month,
        stage,
        sum(change) over (partition by stage order by month) - change as people_before
    from monthly_changes
),

with_stock as (
    select
        cells.*,
        coalesce(stocks.people_before, 0) as people_before,
        sum(cells.moved) over (partition by cells.month, cells.from_stage) as moved_from
    from cells
    left join stocks on cells.month = stocks.month and cells.from_stage = stocks.stage
),

final as (
    select
        month,
        {{ month_label('month') }} as month_label,
        from_stage,
        to_stage,
        from_label,
        to_label,
        cast(
            moved
            + case
                when from_stage = to_stage then people_before - moved_from
                else 0
            end as bigint
        ) as people,
        is_complete
    from with_stock
)

select * from final
