-- tiers of one basis and window must rise, or the lower one could never be left
with tiers as (
    select
        tier,
        threshold,
        lag(threshold) over (partition by basis, window_days order by position) as threshold_below
    from {{ ref('loyalty_tiers') }}
)

select *
from tiers
where threshold <= threshold_below
