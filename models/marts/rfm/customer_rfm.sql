with customers as (
    select * from {{ ref('int_person_facts') }}
    where orders_count > 0
),

cut_points as (
    select * from {{ ref('rfm_cut_points') }}
),

segments as (
    select * from {{ ref('rfm_segments') }}
),

scored as (
    select
        customers.person_id,
        customers.recency_days,
        customers.orders_count as frequency,
        customers.net_revenue as monetary,
        {{ rfm_score('customers.recency_days', 'recency_cuts') }} as r_score,
        {{ rfm_score('customers.orders_count', 'frequency_cuts') }} as f_score,
        {{ rfm_score('cast(customers.net_revenue as double)', 'monetary_cuts') }} as m_score
    from customers
    inner join cut_points as recency_cuts on recency_cuts.measure = 'recency'
    inner join cut_points as frequency_cuts on frequency_cuts.measure = 'frequency'
    inner join cut_points as monetary_cuts on monetary_cuts.measure = 'monetary'
),

final as (
    select
        scored.person_id,
        scored.recency_days,
        scored.frequency,
        scored.monetary,
        scored.r_score,
        scored.f_score,
        scored.m_score,
        segments.segment,
        segments.clm_stage
    from scored
    inner join segments
        on
            scored.r_score between segments.r_min and segments.r_max
            and scored.f_score between segments.f_min and segments.f_max
)

select * from final
