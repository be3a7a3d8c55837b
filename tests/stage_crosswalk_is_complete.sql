select
    stages.stage,
    frameworks.framework
from {{ ref('lifecycle_stages') }} as stages
cross join (select distinct crosswalk.framework from {{ ref('stage_crosswalk') }} as crosswalk) as frameworks
left join {{ ref('stage_crosswalk') }} as crosswalk
    on stages.stage = crosswalk.stage and frameworks.framework = crosswalk.framework
where crosswalk.stage is null
