{%- set measures = {'recency': 'recency_days', 'frequency': 'frequency', 'monetary': 'monetary'} -%}

with revenue_days as (
    select * from {{ ref('int_revenue_days') }}
),

rfm_grid as (
    select * from {{ ref('rfm_grid') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

changes as (
    select
        person_id,
        cast(date_trunc('month', change_date) as date) as month,
        sum(orders_count) as orders_count,
        max(last_order_date) as last_order_date,
        sum(net_change) as net_change
    from revenue_days
    group by person_id, date_trunc('month', change_date)
),

-- what holds from one change to the next
states as (
    select
        changes.person_id,
        changes.month,
        coalesce({{ add_days('lead(changes.month) over so_far', -1) }}, as_of.as_of_date) as holds_until,
        sum(changes.orders_count) over so_far as frequency,
        max(changes.last_order_date) over so_far as last_order_date,
        sum(changes.net_change) over so_far as monetary
    from changes
    cross join as_of
    window so_far as (partition by changes.person_id order by changes.month)
),

customer_months as (
    select
        person_id,
        frequency,
        last_order_date,
        monetary,
        {{ calendar('month', 'holds_until', 'month') }}
    from states
    where frequency > 0
),

measured as (
    select
        customer_months.person_id,
        customer_months.period_start as month,
        least(last_day(customer_months.period_start), as_of.as_of_date) as month_end,
        {{ days_between(
            'customer_months.last_order_date', 'least(last_day(customer_months.period_start), as_of.as_of_date)'
        ) }} as recency_days,
        cast(customer_months.frequency as bigint) as frequency,
        {{ money('customer_months.monetary') }} as monetary,
        last_day(customer_months.period_start) <= as_of.as_of_date as is_complete
    from customer_months
    cross join as_of
),

cut_points as (
    {%- for measure, column in measures.items() %}
    select
        month,
        {{ rfm_cut_points(measure, 'cast(' ~ column ~ ' as double)') }}
    from measured
    group by month
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

scored as (
    select
        measured.*,
        {{ rfm_score('measured.recency_days', 'recency_cuts') }} as r_score,
        {{ rfm_score('measured.frequency', 'frequency_cuts') }} as f_score,
        {{ rfm_score('cast(measured.monetary as double)', 'monetary_cuts') }} as m_score
    from measured
    inner join cut_points as recency_cuts
        on measured.month = recency_cuts.month and recency_cuts.measure = 'recency'
    inner join cut_points as frequency_cuts
        on measured.month = frequency_cuts.month and frequency_cuts.measure = 'frequency'
    inner join cut_points as monetary_cuts
        on measured.month = monetary_cuts.month and monetary_cuts.measure = 'monetary'
),

with_segment as (
    select
        scored.*,
        rfm_grid.segment,
        lag(rfm_grid.segment) over (partition by scored.person_id order by scored.month) as previous_segment
    from scored
    inner join rfm_grid on scored.r_score = rfm_grid.r_score and scored.f_score = rfm_grid.f_score
),

final as (
    select
        person_id,
        month,
        {{ month_label('month') }} as month_label,
        month_end,
        recency_days,
        frequency,
        monetary,
        r_score,
        f_score,
        m_score,
        segment,
        previous_segment,
        max(case when previous_segment is null or segment != previous_segment then month end)
            over (partition by person_id order by month)
            as changed_at_month,
        is_complete
    from with_segment
)

select * from final
