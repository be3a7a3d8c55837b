with frameworks as (
    select
        month,
        framework,
        sum(people) as people
    from {{ ref('stage_framework_counts') }}
    group by month, framework
),

stages as (
    select
        month,
        sum(people) as people
    from {{ ref('stage_transitions') }}
    group by month
),

every_framework as (
    select distinct framework from {{ ref('stage_crosswalk') }}
)

select
    stages.month,
    every_framework.framework
from stages
cross join every_framework
left join frameworks on stages.month = frameworks.month and every_framework.framework = frameworks.framework
where frameworks.people is distinct from stages.people
