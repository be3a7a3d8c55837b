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
        first_month as month_start,
        0 as added
    from located

    union all

    select
        person_id,
        cast(date_trunc('month', added_at) as date) as month_start,
        1 as added
    from customer_locations
    where is_added and not is_default
),

person_steps as (
    select
        person_id,
        month_start,
        sum(added) as added
    from steps
    group by person_id, month_start
),

spells as (
    select
        person_id,
        month_start as from_month,
        lead(month_start) over (partition by person_id order by month_start) as until_month,
        sum(added) over (partition by person_id order by month_start) as extra_locations
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
),

changes as (
    select
        default_location,
        extra_locations,
        from_month as month_start,
        1 as users
    from group_spells

    union all

    select
        default_location,
        extra_locations,
        until_month as month_start,
        -1 as users
    from group_spells
    where until_month is not null
),

monthly_changes as (
    select
        default_location,
        extra_locations,
        month_start,
        sum(users) as users
    from changes
    group by default_location, extra_locations, month_start
),

bounds as (
    select
        min(app_people.first_month) as first_month,
        max(as_of.as_of_date) as last_day
    from app_people
    cross join as_of
),

calendar_months as (
    select {{ calendar('bounds.first_month', 'bounds.last_day', 'month') }}
    from bounds
),

months as (
    select
        calendar_months.period_start as month_start,
        least(last_day(calendar_months.period_start), as_of.as_of_date) as month_end,
        last_day(calendar_months.period_start) <= as_of.as_of_date as is_complete
    from calendar_months
    cross join as_of
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
        months.month_start
    from lasting_activity
    inner join months
        on lasting_activity.activity_date <= months.month_end and lasting_activity.active_until > months.month_end
),

session_months as (
    select
        person_id,
        cast(date_trunc('month', activity_date) as date) as month_start,
        sum(session_events_count) as session_events,
        sum(sessions_count) as sessions
    from activity_days
    where sessions_count > 0
    group by person_id, date_trunc('month', activity_date)
),

person_months as (
    select
        person_id,
        month_start,
        1 as active_users,
        0 as session_events,
        0 as sessions
    from active_months

    union all

    select
        person_id,
        month_start,
        0 as active_users,
        session_events,
        sessions
    from session_months
),

group_activity as (
    select
        group_spells.default_location,
        group_spells.extra_locations,
        person_months.month_start,
        sum(person_months.active_users) as active_users,
        sum(person_months.session_events) as session_events,
        sum(person_months.sessions) as sessions
    from person_months
    inner join group_spells
        on
            person_months.person_id = group_spells.person_id
            and person_months.month_start >= group_spells.from_month
            and (person_months.month_start < group_spells.until_month or group_spells.until_month is null)
    group by group_spells.default_location, group_spells.extra_locations, person_months.month_start
),

default_locations as (
    select distinct default_location
    from located
),

extra_counts as (
    select listed.extra_locations from (values ('0'), ('1'), ('2'), ('3+')) as listed (extra_locations)
),

cells as (
    select
        months.month_start,
        months.is_complete,
        default_locations.default_location,
        extra_counts.extra_locations
    from months
    cross join default_locations
    cross join extra_counts
),

counted as (
    select
        cells.month_start,
        cells.is_complete,
        cells.default_location,
        cells.extra_locations,
        coalesce(group_activity.active_users, 0) as active_users,
        coalesce(group_activity.session_events, 0) as session_events,
        coalesce(group_activity.sessions, 0) as sessions,
        sum(coalesce(monthly_changes.users, 0)) over (
            partition by cells.default_location, cells.extra_locations
            order by cells.month_start
        ) as users
    from cells
    left join monthly_changes
        on
            cells.default_location = monthly_changes.default_location
            and cells.extra_locations = monthly_changes.extra_locations
            and cells.month_start = monthly_changes.month_start
    left join group_activity
        on
            cells.default_location = group_activity.default_location
            and cells.extra_locations = group_activity.extra_locations
            and cells.month_start = group_activity.month_start
),

with_smaller as (
    select
        *,
        sum(users) over (
            partition by month_start
            order by users, default_location, extra_locations
            rows between unbounded preceding and current row
        ) - users as users_of_smaller_groups
    from counted
),

-- the next larger group is hidden with the small ones if these alone were fewer than min_group_size: a total minus what
-- is shown is then never a group that small
judged as (
    select
        *,
        users > 0
        and (
            users < {{ var('min_group_size') }}
            or (users_of_smaller_groups > 0 and users_of_smaller_groups < {{ var('min_group_size') }})
        ) as is_suppressed
    from with_smaller
),

-- a location that was never large enough is not even named
named_locations as (
    select distinct default_location
    from judged
    where users > 0 and not is_suppressed
),

others as (
    select
        month_start,
        is_complete,
        'other' as default_location,
        'any' as extra_locations,
        sum(case when is_suppressed then users else 0 end) as users,
        sum(case when is_suppressed then active_users else 0 end) as active_users,
        sum(case when is_suppressed then session_events else 0 end) as session_events,
        sum(case when is_suppressed then sessions else 0 end) as sessions
    from judged
    group by month_start, is_complete
),

all_groups as (
    select
        judged.month_start,
        judged.is_complete,
        judged.default_location,
        judged.extra_locations,
        judged.users,
        judged.active_users,
        judged.session_events,
        judged.sessions,
        judged.is_suppressed
    from judged
    inner join named_locations on judged.default_location = named_locations.default_location

    union all

    -- still too few if hardly anybody uses the app at all
    select
        month_start,
        is_complete,
        default_location,
        extra_locations,
        users,
        active_users,
        session_events,
        sessions,
        users > 0 and users < {{ var('min_group_size') }} as is_suppressed
    from others
),

shown as (
    select
        {%- for figure in ['users', 'active_users', 'session_events', 'sessions'] %}
        cast(case when not is_suppressed then {{ figure }} end as bigint) as {{ figure }},
        {%- endfor %}
        month_start,
        is_complete,
        default_location,
        extra_locations,
        is_suppressed
    from all_groups
),

final as (
    select
        month_start as month,
        {{ month_label('month_start') }} as month_label,
        default_location,
        extra_locations,
        users,
        active_users,
        users - active_users as passive_users,
        {{ ratio('active_users', 'users') }} as active_share,
        sessions,
        {{ ratio('session_events', 'sessions') }} as session_depth,
        is_suppressed,
        is_complete
    from shown
)

select * from final
