with spells as (
    select
        stage,
        count(*) as entered
    from {{ ref('customer_stage_history') }}
    group by stage
),

funnel as (
    select
        stage,
        max(entered) as entered,
        sum(moved) as moved
    from {{ ref('stage_funnel') }}
    group by stage
)

select funnel.stage
from funnel
left join spells on funnel.stage = spells.stage
where funnel.entered != coalesce(spells.entered, 0) or funnel.moved != funnel.entered
