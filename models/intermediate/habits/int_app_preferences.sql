{%- set preference_days = 90 -%}
-- person × where and when they use the app most, by events of the last days; of equals the first
with sessions as (
    select * from {{ ref('int_app_sessions') }}
),

identity_map as (
    select * from {{ ref('int_identity_map') }}
    where role = 'app'
),

profiles as (
    select * from {{ ref('int_profiles') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

recent as (
    select
        identity_map.person_id,
        sessions.platform,
        sessions.device,
        sessions.events_count,
        case
            when profiles.time_zone != '{{ var('business_time_zone') }}' and {{ is_time_zone('profiles.time_zone') }}
                then {{ change_zone_by('sessions.first_activity_at', var('business_time_zone'), 'profiles.time_zone') }}
            else sessions.first_activity_at
        end as local_at
    from sessions
    inner join identity_map
        on sessions.source_system = identity_map.source and sessions.user_id = identity_map.source_id
    inner join profiles on identity_map.person_id = profiles.person_id
    inner join as_of
        on
            sessions.event_date <= as_of.as_of_date
            and sessions.event_date > {{ add_days('as_of.as_of_date', -preference_days) }}
),

timed as (
    select
        person_id,
        platform,
        device,
        events_count,
        cast(mod({{ days_between("cast('1970-01-05' as date)", 'cast(local_at as date)') }}, 7) + 1 as string) as weekday,
        substr(cast(local_at as string), 12, 2) as hour_of_day
    from recent
),

counted as (
    {%- for kind in ['platform', 'device', 'weekday', 'hour_of_day'] %}
    select
        person_id,
        '{{ kind }}' as kind,
        {{ kind }} as value,
        sum(events_count) as events
    from timed
    where {{ kind }} is not null
    group by person_id, {{ kind }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

ranked as (
    select
        person_id,
        kind,
        value,
        row_number() over (partition by person_id, kind order by events desc, value asc) as place,
        sum(events) over (partition by person_id, kind) as all_events
    from counted
),

final as (
    select
        person_id,
        max(case when kind = 'platform' then value end) as platform,
        max(case when kind = 'device' then value end) as device,
        cast(max(case when kind = 'weekday' and all_events >= {{ var('habit_min_events') }} then value end) as integer)
            as preferred_weekday,
        cast(max(case when kind = 'hour_of_day' and all_events >= {{ var('habit_min_events') }} then value end) as integer)
            as preferred_hour
    from ranked
    where place = 1
    group by person_id
)

select * from final
