{%- set metrics = {
    'user_activation_rate': ['User activation rate', 'user_activation_rate'],
    'repeat_customer_rate': ['Repeat customer rate', 'repeat_customer_rate'],
    'loyal_customer_rate': ['Loyal customer rate', 'loyal_customer_rate'],
    'active_share': ['Active share of users', ratio('active_users', 'users')],
    'session_depth': ['Session depth', 'session_depth'],
} -%}
with lifecycle_metrics as (
    select * from {{ ref('lifecycle_metrics') }}
),

targets as (
    select * from {{ ref('metric_targets') }}
),

as_of as (
    select
        as_of_date,
        {{ year_before('as_of_date') }} as year_ago_date
    from {{ ref('int_as_of') }}
),

two_days as (
    select
        lifecycle_metrics.*,
        lifecycle_metrics.metric_date = as_of.as_of_date as is_today
    from lifecycle_metrics
    inner join as_of on lifecycle_metrics.metric_date in (as_of.as_of_date, as_of.year_ago_date)
),

measured as (
    {%- for metric, (label, expression) in metrics.items() %}
    select
        {{ loop.index }} as position,
        '{{ metric }}' as metric,
        '{{ label }}' as label,
        max(case when is_today then {{ expression }} end) as value,
        max(case when not is_today then {{ expression }} end) as year_ago_value
    from two_days
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

-- rounded: 0.3 + 0.05 is not quite 0.35 in floating point, and exactly the tolerance is on target
with_targets as (
    select
        measured.*,
        targets.target,
        targets.tolerance,
        round(measured.value - targets.target, 9) as distance
    from measured
    left join targets on measured.metric = targets.metric
),

final as (
    select
        as_of.as_of_date as metric_date,
        with_targets.position,
        with_targets.metric,
        with_targets.label,
        with_targets.value,
        with_targets.target,
        with_targets.tolerance,
        case
            when with_targets.target is null then 'no target'
            when with_targets.value is null then 'no value'
            when with_targets.distance > with_targets.tolerance then 'above'
            when with_targets.distance < -with_targets.tolerance then 'below'
            else 'on'
        end as health,
        with_targets.year_ago_value,
        with_targets.value - with_targets.year_ago_value as change
    from with_targets
    cross join as_of
)

select * from final
