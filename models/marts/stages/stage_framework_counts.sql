with stage_transitions as (
    select * from {{ ref('stage_transitions') }}
),

stage_crosswalk as (
    select * from {{ ref('stage_crosswalk') }}
),

stocks as (
    select
        month,
        month_label,
        to_stage as stage,
        sum(people) as people,
        is_complete
    from stage_transitions
    group by month, month_label, to_stage, is_complete
),

-- stages that a framework keeps for advocates are rows, too
framework_stages as (
    select
        framework,
        framework_stage
    from stage_crosswalk

    union distinct

    select
        framework,
        advocate_stage as framework_stage
    from stage_crosswalk
),

counted as (
    select
        stocks.month,
        stocks.month_label,
        framework_stages.framework,
        framework_stages.framework_stage,
        cast(sum(case when stage_crosswalk.stage is not null then stocks.people else 0 end) as bigint) as people,
        stocks.is_complete
    from stocks
    cross join framework_stages
    left join stage_crosswalk
        on
            stocks.stage = stage_crosswalk.stage
            and framework_stages.framework = stage_crosswalk.framework
            and framework_stages.framework_stage = stage_crosswalk.framework_stage
    group by
        stocks.month, stocks.month_label, framework_stages.framework, framework_stages.framework_stage, stocks.is_complete
),

final as (
    select
        month,
        month_label,
        framework,
        framework_stage,
        people,
        {{ ratio('people', 'sum(people) over (partition by month, framework)') }} as share,
        is_complete
    from counted
)

select * from final
