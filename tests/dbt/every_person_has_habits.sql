-- a row for every person, nothing of the erased, and on as_of_date as many active people as habit_metrics counts but the erased
with habits as (
    select * from {{ ref('customer_habits') }}
),

customers as (
    select * from {{ ref('customers') }}
),

erased_people as (
    select * from {{ ref('int_erased_people') }}
),

wrong_people as (
    select coalesce(customers.person_id, habits.person_id) as what
    from customers
    full join habits on customers.person_id = habits.person_id
    where
        customers.person_id is null
        or habits.person_id is null
        or (
            customers.person_id in (select erased_people.person_id from erased_people)
            and coalesce(
                habits.first_active_date is not null or habits.email_habit is not null or habits.sms_habit is not null
                or habits.push_habit is not null or habits.last_viewed_product_id is not null or habits.active_days_90d > 0,
                false
            )
        )
),

weekly as (
    select count(*) as people
    from habits
    where active_days_7d > 0
),

-- whose erasure is dated after as_of_date, too
weekly_erased as (
    select count(*) as people
    from (
        select distinct app_days.person_id
        from {{ ref('int_app_days') }} as app_days
        inner join erased_people on app_days.person_id = erased_people.person_id
        cross join {{ ref('int_as_of') }} as as_of
        where app_days.activity_date > {{ add_days('as_of.as_of_date', -7) }}
    ) as erased
),

wrong_days as (
    select cast(habit_metrics.metric_date as string) as what
    from {{ ref('habit_metrics') }} as habit_metrics
    inner join {{ ref('int_as_of') }} as as_of on habit_metrics.metric_date = as_of.as_of_date
    cross join weekly
    cross join weekly_erased
    where habit_metrics.wau != weekly.people + weekly_erased.people
)

select what from wrong_people
union all
select what from wrong_days
