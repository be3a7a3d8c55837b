-- where anything is hidden, the row `other` stands for at least min_group_size people, or is hidden as well
with months as (
    select
        month,
        bool_or(is_suppressed and default_location != 'other') as hides_groups,
        bool_or(is_suppressed and default_location = 'other') as hides_everybody,
        max(case when default_location = 'other' then users end) as others,
        max(case when default_location != 'other' and not is_suppressed then users else 0 end) as largest
    from {{ ref('location_cohorts') }}
    group by month
)

select *
from months
where
    (hides_groups and not hides_everybody and others < {{ var('min_group_size') }})
    or (others between 1 and {{ var('min_group_size') }} - 1)
    or (hides_everybody and largest > 0)
