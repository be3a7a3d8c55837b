-- everybody buys in the month, and in the window, of the first order
select
    cohort,
    retention
from {{ ref('cohort_retention') }}
where period_index = 0 and retention is distinct from 1

union all

select
    cohort,
    retention
from {{ ref('cohort_retention_30d') }}
where window_index = 0 and coalesce(retention, 1) != 1
