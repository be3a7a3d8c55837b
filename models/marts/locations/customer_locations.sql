with users as (
    select * from {{ ref('stg_app__users') }}
    where default_city is not null
),

user_days as (
    select * from {{ ref('int_app_user_days') }}
    where place is not null
),

identity_map as (
    select * from {{ ref('int_identity_map') }}
    where role = 'app'
),

erased_people as (
    select * from {{ ref('int_erased_people') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

logins as (
    select
        identity_map.person_id,
        users.default_city,
        users.created_at,
        row_number() over (partition by identity_map.person_id order by users.created_at desc, users.user_id desc) = 1
            as is_latest
    from users
    inner join identity_map
        on users.source_system = identity_map.source and users.user_id = identity_map.source_id
    inner join as_of on users.created_at < as_of.as_of_end
),

-- one default per person, that of the latest login; an earlier login's is a location that was added
sightings as (
    select
        person_id,
        case when is_latest then 'default' else 'added' end as kind,
        default_city as city,
        created_at as first_seen_at,
        created_at as last_seen_at
    from logins

    union all

    select
        identity_map.person_id,
        case user_days.event_name when 'location_added' then 'added' else 'searched' end as kind,
        user_days.place as city,
        user_days.first_at as first_seen_at,
        user_days.last_at as last_seen_at
    from user_days
    inner join identity_map
        on user_days.source_system = identity_map.source and user_days.user_id = identity_map.source_id
    inner join as_of on user_days.event_date <= as_of.as_of_date
),

cleaned as (
    select
        person_id,
        kind,
        trim({{ replace_matches('city', '[\\s\\p{Z}\\x{200B}\\x{FEFF}]+', ' ') }}) as city,
        first_seen_at,
        last_seen_at
    from sightings
    where person_id not in (select erased_people.person_id from erased_people)
),

keyed as (
    select
        *,
        lower(city) as city_key
    from cleaned
    where city != ''
),

-- one spelling for everybody, whatever case and blanks, so that a chart has one bar per city
spellings as (
    select
        city_key,
        min_by(city, cast(first_seen_at as string) || ' ' || city) as city
    from keyed
    group by city_key
),

locations as (
    select
        keyed.person_id,
        spellings.city,
        bool_or(keyed.kind = 'default') as is_default,
        bool_or(keyed.kind = 'added') as is_added,
        bool_or(keyed.kind = 'searched') as is_searched,
        min(keyed.first_seen_at) as first_seen_at,
        max(keyed.last_seen_at) as last_seen_at,
        min(case when keyed.kind = 'added' then keyed.first_seen_at end) as added_at
    from keyed
    inner join spellings on keyed.city_key = spellings.city_key
    group by keyed.person_id, spellings.city
),

final as (
    select
        person_id,
        city,
        case
            when is_default then 'default'
            when is_added then 'added'
            else 'searched'
        end as kind,
        is_default,
        is_added,
        is_searched,
        first_seen_at,
        last_seen_at,
        added_at
    from locations
)

select * from final
