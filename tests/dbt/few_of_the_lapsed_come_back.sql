-- a warning, not an error: lapsed_after_days is too early for this store; see return_curve, and raise the variable
{{ config(severity='warn') }}
select
    days_since_last_order,
    spells,
    came_back,
    return_share
from {{ ref('return_curve') }}
where is_lapsed_threshold and return_share > {{ var('max_lapsed_return_share') }}
