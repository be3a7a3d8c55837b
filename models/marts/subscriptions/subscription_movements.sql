{%- set movements = ['new', 'expansion', 'reactivated', 'contraction', 'churned'] -%}
with subscriptions as (
    select * from {{ ref('int_subscriptions') }}
),

recurring_revenue as (
    select * from {{ ref('int_recurring_revenue') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

-- from the first subscription on, which may be older than anybody who is known
bounds as (
    select
        cast(date_trunc('month', min(subscriptions.started_on)) as date) as first_month,
        max(as_of.as_of_date) as last_day
    from subscriptions
    cross join as_of
),

months as (
    select {{ calendar('bounds.first_month', 'bounds.last_day', 'month') }}
    from bounds
),

moved as (
    select
        {%- for movement in movements %}
        sum(case when movement = '{{ movement }}' then amount end) as {{ movement }}_mrr,
        count(case when movement = '{{ movement }}' then 1 end) as {{ movement }}_subscribers,
        {%- endfor %}
        month
    from recurring_revenue
    group by month
),

trials_begun as (
    select
        cast(date_trunc('month', started_on) as date) as month,
        count(*) as trials
    from subscriptions
    where trial_ends_on is not null
    group by date_trunc('month', started_on)
),

trials_over as (
    select
        cast(date_trunc('month', trial_ended_on) as date) as month,
        count(*) as trials,
        count(case when has_paid then 1 end) as converted
    from subscriptions
    where trial_ended_on is not null
    group by date_trunc('month', trial_ended_on)
),

-- months in which nothing moved are rows
filled as (
    select
        months.period_start as month,
        last_day(months.period_start) <= as_of.as_of_date as is_complete,
        {%- for movement in movements %}
        {{ money('coalesce(moved.' ~ movement ~ '_mrr, 0)') }} as {{ movement }}_mrr,
        coalesce(moved.{{ movement }}_subscribers, 0) as {{ movement }}_subscribers,
        {%- endfor %}
        coalesce(trials_begun.trials, 0) as trials_started,
        coalesce(trials_over.trials, 0) as trials_ended,
        coalesce(trials_over.converted, 0) as trials_converted
    from months
    cross join as_of
    left join moved on months.period_start = moved.month
    left join trials_begun on months.period_start = trials_begun.month
    left join trials_over on months.period_start = trials_over.month
),

with_stocks as (
    select
        *,
        new_mrr + expansion_mrr + reactivated_mrr - contraction_mrr - churned_mrr as net_change,
        sum(new_mrr + expansion_mrr + reactivated_mrr - contraction_mrr - churned_mrr) over (order by month) as closing_mrr,
        sum(new_subscribers + reactivated_subscribers - churned_subscribers) over (order by month) as subscribers
    from filled
),

final as (
    select
        month,
        {{ month_label('month') }} as month_label,
        {{ money('closing_mrr - net_change') }} as opening_mrr,
        new_mrr,
        expansion_mrr,
        contraction_mrr,
        churned_mrr,
        reactivated_mrr,
        {{ money('closing_mrr') }} as closing_mrr,
        cast(subscribers as bigint) as subscribers,
        new_subscribers,
        churned_subscribers,
        reactivated_subscribers,
        trials_started,
        trials_ended,
        trials_converted,
        {{ ratio('trials_converted', 'trials_ended') }} as trial_conversion_rate,
        is_complete
    from with_stocks
)

select * from final
