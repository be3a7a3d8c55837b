-- by intention to treat: everybody assigned counts where the draw put them, reached or not
with audiences as (
    select * from {{ ref('int_audiences') }}
),

assignments as (
    select * from {{ ref('int_audience_assignments') }}
),

orders as (
    select * from {{ ref('orders') }}
    where person_id is not null
),

campaigns as (
    select * from {{ ref('int_campaigns') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

-- the order that a message can cause comes after the day whose build drew the lot
windows as (
    select
        assignments.audience,
        assignments.person_id,
        assignments.is_holdout,
        assignments.holdout_share,
        assignments.assigned_on,
        {{ add_days('assignments.assigned_on', var('goal_window_days')) }} as window_ends_on,
        {{ add_days('assignments.assigned_on', var('goal_window_days')) }} <= as_of.as_of_date as is_over
    from assignments
    cross join as_of
),

-- a changed share begins a new comparison: drawn at different shares, the two groups would be from different times
last_draws as (
    select
        audience,
        max(assigned_on) as assigned_on
    from windows
    where is_over
    group by audience
),

compared_shares as (
    select
        windows.audience,
        max(windows.holdout_share) as holdout_share
    from windows
    inner join last_draws on windows.audience = last_draws.audience and windows.assigned_on = last_draws.assigned_on
    where windows.is_over
    group by windows.audience
),

compared as (
    select
        windows.audience,
        windows.person_id,
        windows.is_holdout,
        windows.assigned_on,
        count(orders.order_key) > 0 as is_converted,
        coalesce(sum(orders.net_amount), 0) as revenue
    from windows
    inner join compared_shares
        on windows.audience = compared_shares.audience and windows.holdout_share = compared_shares.holdout_share
    left join orders
        on
            windows.person_id = orders.person_id
            and windows.assigned_on < orders.order_date
            and windows.window_ends_on >= orders.order_date
    where windows.is_over
    group by windows.audience, windows.person_id, windows.is_holdout, windows.assigned_on
),

means as (
    select
        audience,
        is_holdout,
        {{ money_per('sum(revenue)', 'count(*)') }} as mean_revenue
    from compared
    group by audience, is_holdout
),

-- decimals add up to the same sum in any order, floating point does not; 19 and 18 digits, so that a
-- square has no more than the 38 that engines keep exactly
deviations as (
    select
        compared.*,
        cast(compared.revenue - means.mean_revenue as decimal(19, 4)) as deviation
    from compared
    inner join means on compared.audience = means.audience and compared.is_holdout = means.is_holdout
),

arms as (
    select
        {%- for arm, is_in in {'treated': 'not is_holdout', 'control': 'is_holdout'}.items() %}
        count(case when {{ is_in }} then 1 end) as {{ arm }}_people,
        count(case when {{ is_in }} and is_converted then 1 end) as {{ arm }}_conversions,
        {{ money('coalesce(sum(case when ' ~ is_in ~ ' then revenue end), 0)') }} as {{ arm }}_revenue,
        sum(case when {{ is_in }} then deviation end) as {{ arm }}_deviation,
        sum(case when {{ is_in }} then deviation * {{ money('deviation') }} end) as {{ arm }}_squares,
        {%- endfor %}
        min(assigned_on) as first_assigned_on,
        max(assigned_on) as last_assigned_on,
        audience
    from deviations
    group by audience
),

-- campaigns of the past, whose audience is gone, are rows too
assigned as (
    select
        coalesce(audiences.audience, windows.audience) as audience,
        min(audiences.campaign_id) as campaign_id,
        count(windows.person_id) as assigned_people,
        count(case when not windows.is_over then 1 end) as waiting_people
    from audiences
    full join windows on audiences.audience = windows.audience
    group by coalesce(audiences.audience, windows.audience)
),

counted as (
    select
        assigned.audience,
        assigned.campaign_id,
        campaigns.campaign_name,
        assigned.assigned_people,
        assigned.waiting_people,
        compared_shares.holdout_share,
        arms.first_assigned_on,
        arms.last_assigned_on,
        campaigns.cost,
        {%- for arm in ['treated', 'control'] %}
        coalesce(arms.{{ arm }}_people, 0) as {{ arm }}_people,
        coalesce(arms.{{ arm }}_conversions, 0) as {{ arm }}_conversions,
        coalesce(arms.{{ arm }}_revenue, 0) as {{ arm }}_revenue,
        (
            cast(arms.{{ arm }}_squares as double)
            - cast(arms.{{ arm }}_deviation as double) * cast(arms.{{ arm }}_deviation as double) / arms.{{ arm }}_people
        ) / nullif(arms.{{ arm }}_people - 1, 0) as {{ arm }}_variance,
        {{ ratio('arms.' ~ arm ~ '_conversions', 'arms.' ~ arm ~ '_people') }} as {{ arm }}_rate,
        {{ ratio('arms.' ~ arm ~ '_revenue', 'arms.' ~ arm ~ '_people') }} as {{ arm }}_revenue_per_person,
        {%- endfor %}
        {{ ratio('arms.treated_conversions + arms.control_conversions', 'arms.treated_people + arms.control_people') }}
            as pooled_rate
    from assigned
    left join compared_shares on assigned.audience = compared_shares.audience
    left join arms on assigned.audience = arms.audience
    left join campaigns on assigned.campaign_id = campaigns.campaign_id
),

bounded as (
    select
        *,
        treated_rate - control_rate as difference,
        {%- for arm in ['treated', 'control'] %}
        {{ wilson_bound(arm ~ '_rate', arm ~ '_people', '-') }} as {{ arm }}_low,
        {{ wilson_bound(arm ~ '_rate', arm ~ '_people', '+') }} as {{ arm }}_high,
        {%- endfor %}
        treated_revenue_per_person - control_revenue_per_person as revenue_difference,
        {{ z_95() }} * sqrt(treated_variance / treated_people + control_variance / control_people) as revenue_margin
    from counted
),

-- Newcombe's hybrid score interval (Statistics in Medicine 17, 1998, 873-890, method 10)
compared_arms as (
    select
        *,
        difference - sqrt(
            (treated_rate - treated_low) * (treated_rate - treated_low)
            + (control_high - control_rate) * (control_high - control_rate)
        ) as difference_low,
        difference + sqrt(
            (treated_high - treated_rate) * (treated_high - treated_rate)
            + (control_rate - control_low) * (control_rate - control_low)
        ) as difference_high
    from bounded
),

final as (
    select
        audience,
        campaign_id,
        campaign_name,
        cast({{ var('goal_window_days') }} as integer) as goal_window_days,
        assigned_people,
        waiting_people,
        holdout_share,
        first_assigned_on,
        last_assigned_on,
        treated_people,
        control_people,
        treated_conversions,
        control_conversions,
        treated_rate as treated_conversion_rate,
        control_rate as control_conversion_rate,
        difference,
        {{ ratio('difference', 'control_rate') }} as relative_difference,
        difference_low,
        difference_high,
        case
            when pooled_rate > 0 and pooled_rate < 1 and treated_people > 0 and control_people > 0
                then
                    ({{ z_95() }} + {{ z_80_power() }}) * sqrt(
                        pooled_rate * (1 - pooled_rate)
                        * (1.0 / nullif(treated_people, 0) + 1.0 / nullif(control_people, 0))
                    )
        end as smallest_detectable_difference,
        case
            when difference is null then 'not measured'
            when difference_low > 0 then 'treated convert more'
            when difference_high < 0 then 'treated convert less'
            else 'no difference shown'
        end as result,
        {{ money('treated_revenue') }} as treated_revenue,
        {{ money('control_revenue') }} as control_revenue,
        treated_revenue_per_person,
        control_revenue_per_person,
        revenue_difference,
        {{ ratio('revenue_difference', 'control_revenue_per_person') }} as relative_revenue_difference,
        revenue_difference - revenue_margin as revenue_difference_low,
        revenue_difference + revenue_margin as revenue_difference_high,
        {{ money_share('treated_revenue * control_people - control_revenue * treated_people', '1',
            'case when treated_people > 0 then control_people end') }}
            as incremental_revenue,
        cost,
        case when treated_people > 0 then {{ ratio('treated_revenue', 'cost') }} end as return_on_spend,
        {{ money_per('cost', 'treated_conversions') }} as cost_per_conversion
    from compared_arms
)

select * from final
