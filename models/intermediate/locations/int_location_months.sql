with group_spells as (
    select * from {{ ref('int_location_spells') }}
),

activity_days as (
    select * from {{ ref('int_activity_days') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

int_months as (
    select * from {{ ref('int_months') }}
),

months as (
    select *
    from int_months
    where month >= (select min(group_spells.from_month) from group_spells)
),

changes as (
    select
        default_location,
        extra_locations,
        from_month as month,
        1 as users
    from group_spells

    union all

    select
        default_location,
        extra_locations,
        until_month as month,
        -1 as users
    from group_spells
    where until_month is not null
),

monthly_changes as (
    select
        default_location,
        extra_locations,
        month,
        sum(users) as users
    from changes
    group by default_location, extra_locations, month
),

-- an activity that does not last to the end of its own month lasts to no other; so few rows meet the months
lasting_activity as (
    select activity_days.*
    from activity_days
    cross join as_of
    where activity_days.active_until > least(last_day(activity_days.activity_date), as_of.as_of_date)
),

active_months as (
    select
        lasting_activity.person_id,
        months.month
    from lasting_activity
    inner join months
        on lasting_activity.activity_date <= months.month_end and lasting_activity.active_until > months.month_end
),

session_months as (
    select
        person_id,
        cast(date_trunc('month', activity_date) as date) as month,
        sum(session_events_count) as session_events,
        sum(sessions_count) as sessions
    from activity_days
    where sessions_count > 0
    group by person_id, date_trunc('month', activity_date)
),

person_months as (
    select
        person_id,
        month,
        1 as active_users,
        0 as session_events,
        0 as sessions
    from active_months

    union all

    select
        person_id,
        month,
        0 as active_users,
        session_events,
        sessions
    from session_months
),

group_activity as (
    select
        group_spells.default_location,
        group_spells.extra_locations,
        person_months.month,
        cast(sum(person_months.active_users) as bigint) as active_users,
        cast(sum(person_months.session_events) as bigint) as session_events,
        cast(sum(person_months.sessions) as bigint) as sessions
    from person_months
    inner join group_spells
        on
            person_months.person_id = group_spells.person_id
            and person_months.month >= group_spells.from_month
            and (person_months.month < group_spells.until_month or group_spells.until_month is null)
    group by group_spells.default_location, group_spells.extra_locations, person_months.month
),

default_locations as (
    select distinct default_location
    from group_spells
),

extra_counts as (
    select listed.extra_locations from (values ('0'), ('1'), ('2'), ('3+')) as listed (extra_locations)
),

cells as (
    select
        months.month,
        months.is_complete,
        default_locations.default_location,
        extra_counts.extra_locations
    from months
    cross join default_locations
    cross join extra_counts
),

counted as (
    select
        cells.month,
        cells.is_complete,
        cells.default_location,
        cells.extra_locations,
        coalesce(group_activity.active_users, 0) as active_users,
        coalesce(group_activity.session_events, 0) as session_events,
        coalesce(group_activity.sessions, 0) as sessions,
        cast(sum(coalesce(monthly_changes.users, 0)) over (
            partition by cells.default_location, cells.extra_locations
            order by cells.month
        ) as bigint) as users
    from cells
    left join monthly_changes
        on
            cells.default_location = monthly_changes.default_location
            and cells.extra_locations = monthly_changes.extra_locations
            and cells.month = monthly_changes.month
    left join group_activity
        on
            cells.default_location = group_activity.default_location
            and cells.extra_locations = group_activity.extra_locations
            and cells.month = group_activity.month
)

select * from counted
