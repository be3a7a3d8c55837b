with frameworks as (
    select distinct framework
    from {{ ref('stage_crosswalk') }}
)

select
    stages.stage,
    frameworks.framework
from {{ ref('lifecycle_stages') }} as stages
cross join frameworks
left join {{ ref('stage_crosswalk') }} as crosswalk
    on stages.stage = crosswalk.stage and frameworks.framework = crosswalk.framework
where crosswalk.stage is null
