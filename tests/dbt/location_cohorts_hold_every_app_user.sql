-- the last month adds up to everybody who uses the app by as_of_date, and to those of them who are active
with app_people as (
    select identity_map.person_id
    from {{ ref('int_identity_map') }} as identity_map
    inner join {{ ref('int_as_of') }} as as_of on identity_map.created_at < as_of.as_of_end
    where identity_map.role = 'app'

    union

    select person_id
    from {{ ref('int_activity_days') }}
    where events_count > 0
),

recomputed as (
    select
        count(*) as users,
        count_if(customers.is_active_30d) as active_users,
        count_if(not customers.is_active_30d) as passive_users
    from app_people
    inner join {{ ref('customers') }} as customers on app_people.person_id = customers.person_id
),

last_month as (
    select
        coalesce(sum(cohorts.users), 0) as users,
        coalesce(sum(cohorts.active_users), 0) as active_users,
        coalesce(sum(cohorts.passive_users), 0) as passive_users
    from {{ ref('location_cohorts') }} as cohorts
    inner join {{ ref('int_as_of') }} as as_of on cohorts.month = date_trunc('month', as_of.as_of_date)
)

select recomputed.*
from recomputed
cross join last_month
-- fewer than a group of people altogether are not shown
where
    recomputed.users >= {{ var('min_group_size') }}
    and (
        recomputed.users != last_month.users
        or recomputed.active_users != last_month.active_users
        or recomputed.passive_users != last_month.passive_users
    )
