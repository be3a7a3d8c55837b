with scores as (
    select listed.score from (values (1), (2), (3), (4), (5)) as listed (score)
)

select
    recency.score as r_score,
    frequency.score as f_score,
    count(segments.segment) as segments
from scores as recency
cross join scores as frequency
left join {{ ref('rfm_segments') }} as segments
    on
        recency.score between segments.r_min and segments.r_max
        and frequency.score between segments.f_min and segments.f_max
group by recency.score, frequency.score
having count(segments.segment) != 1
