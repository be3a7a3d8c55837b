with customer_rfm as (
    select * from {{ ref('customer_rfm') }}
),

segments as (
    select * from {{ ref('rfm_segments') }}
),

scores as (
    select listed.score from (values (1), (2), (3), (4), (5)) as listed (score)
),

cells as (
    select
        recency.score as r_score,
        frequency.score as f_score,
        segments.segment
    from scores as recency
    cross join scores as frequency
    inner join segments
        on
            recency.score between segments.r_min and segments.r_max
            and frequency.score between segments.f_min and segments.f_max
),

final as (
    select
        cells.r_score,
        cells.f_score,
        cells.segment,
        count(customer_rfm.person_id) as customers,
        {{ money('coalesce(sum(customer_rfm.monetary), 0)') }} as net_revenue
    from cells
    left join customer_rfm
        on cells.r_score = customer_rfm.r_score and cells.f_score = customer_rfm.f_score
    group by cells.r_score, cells.f_score, cells.segment
)

select * from final
