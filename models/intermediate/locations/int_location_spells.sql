-- people stand in a group from one month to another: cost follows the changes, not people × months
with identity_map as (
    select * from {{ ref('int_identity_map') }}
    where role = 'app'
),

activity_days as (
    select * from {{ ref('int_activity_days') }}
),

customer_locations as (
    select * from {{ ref('customer_locations') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

app_starts as (
    select
        person_id,
        cast(created_at as date) as started_on
    from identity_map

    union all

    select
        activity_days.person_id,
        activity_days.activity_date as started_on
    from activity_days
    where activity_days.events_count > 0
),

app_people as (
    select
        app_starts.person_id,
        cast(date_trunc('month', min(app_starts.started_on)) as date) as first_month
    from app_starts
    inner join as_of on app_starts.started_on <= as_of.as_of_date
    group by app_starts.person_id
),

-- who shows no city (the erased too) is in the group `unknown`
located as (
    select
        app_people.person_id,
        app_people.first_month,
        coalesce(customer_locations.city, 'unknown') as default_location
    from app_people
    left join customer_locations
        on app_people.person_id = customer_locations.person_id and customer_locations.is_default
),

steps as (
    select
        person_id,
        first_month as month,
        0 as added
    from located

    union all

    select
        person_id,
        cast(date_trunc('month', added_at) as date) as month,
        1 as added
    from customer_locations
    where is_added and not is_default
),

person_steps as (
    select
        person_id,
        month,
        sum(added) as added
    from steps
    group by person_id, month
),

spells as (
    select
        person_id,
        month as from_month,
        lead(month) over (partition by person_id order by month) as until_month,
        sum(added) over (partition by person_id order by month) as extra_locations
    from person_steps
),

group_spells as (
    select
        spells.person_id,
        spells.from_month,
        spells.until_month,
        located.default_location,
        case
            when spells.extra_locations >= 3 then '3+'
            else cast(cast(spells.extra_locations as integer) as string)
        end as extra_locations
    from spells
    inner join located on spells.person_id = located.person_id
)

select * from group_spells
