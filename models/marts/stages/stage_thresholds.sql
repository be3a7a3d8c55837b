with order_days as (
    select * from {{ ref('int_order_days') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

-- whole months only, so that the thresholds stand still from the first of a month to its end
observed as (
    select
        count(*) as gaps,
        count(distinct order_days.person_id) as customers,
        -- rounded before ceil: an interpolated 117.0000000001 is 117
        ceil(round(percentile_cont(0.8) within group (order by cast(order_days.gap_days as double)), 6)) as percentile_80,
        ceil(round(percentile_cont(0.95) within group (order by cast(order_days.gap_days as double)), 6)) as percentile_95
    from order_days
    cross join as_of
    where order_days.gap_days is not null and order_days.order_date < date_trunc('month', as_of.as_of_date)
),

history as (
    select {{ days_between('min(order_days.order_date)', 'as_of.as_of_date') }} as history_days
    from as_of
    left join order_days on true
    group by as_of.as_of_date
),

judged as (
    select
        observed.gaps,
        observed.customers,
        history.history_days,
        cast(observed.percentile_80 as integer) as measured_at_risk_after_days,
        -- at risk must come before lapsed, even in a store whose customers all order like clockwork
        cast(greatest(observed.percentile_95, observed.percentile_80 + 1) as integer) as measured_lapsed_after_days
    from observed
    cross join history
),

chosen as (
    select
        *,
        coalesce(customers >= 100 and history_days >= 2 * measured_lapsed_after_days, false) as is_measured
    from judged
),

final as (
    select
        cast(coalesce(
            {{ var('at_risk_after_days') or 'null' }}, case when is_measured then measured_at_risk_after_days else 180 end
        ) as integer) as at_risk_after_days,
        cast(coalesce(
            {{ var('lapsed_after_days') or 'null' }}, case when is_measured then measured_lapsed_after_days else 365 end
        ) as integer) as lapsed_after_days,
        cast(least({{ var('new_days') }}, at_risk_after_days) as integer) as new_days,
        {{ "'variable'" if var('at_risk_after_days') else "case when is_measured then 'data' else 'default' end" }}
            as at_risk_source,
        {{ "'variable'" if var('lapsed_after_days') else "case when is_measured then 'data' else 'default' end" }}
            as lapsed_source,
        measured_at_risk_after_days,
        measured_lapsed_after_days,
        gaps as sample_gaps,
        customers as sample_customers,
        history_days
    from chosen
)

select * from final
