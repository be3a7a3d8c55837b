with counted as (
    select * from {{ ref('int_location_months') }}
),

with_smaller as (
    select
        *,
        sum(users) over (
            partition by month
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
        month,
        is_complete,
        'other' as default_location,
        'any' as extra_locations,
        sum(case when is_suppressed then users else 0 end) as users,
        sum(case when is_suppressed then active_users else 0 end) as active_users,
        sum(case when is_suppressed then session_events else 0 end) as session_events,
        sum(case when is_suppressed then sessions else 0 end) as sessions
    from judged
    group by month, is_complete
),

all_groups as (
    select
        judged.month,
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
        month,
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
        month,
        is_complete,
        default_location,
        extra_locations,
        is_suppressed
    from all_groups
),

final as (
    select
        month,
        {{ month_label('month') }} as month_label,
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
