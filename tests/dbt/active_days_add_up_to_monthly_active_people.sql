-- the people of every month of active_day_histogram are the mau of its last day; a month with app activity has all its cells
with histogram as (
    select
        month_end,
        count(*) as cells,
        sum(people) as people
    from {{ ref('active_day_histogram') }}
    group by month_end
),

days as (
    select habit_metrics.*
    from {{ ref('habit_metrics') }} as habit_metrics
    cross join {{ ref('int_as_of') }} as as_of
    where habit_metrics.metric_date in (last_day(habit_metrics.metric_date), as_of.as_of_date)
)

select coalesce(histogram.month_end, days.metric_date) as month_end
from histogram
full join days on histogram.month_end = days.metric_date
where
    histogram.people is distinct from days.mau
    or histogram.cells is distinct from 28
