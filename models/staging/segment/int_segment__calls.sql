with identifies as (
    select * from {{ ref('base_segment__identifies') }}
    where row_status = 'staged'
),

tracks as (
    select * from {{ ref('base_segment__tracks') }}
    where row_status = 'staged'
),

pages as (
    select * from {{ ref('base_segment__pages') }}
    where row_status = 'staged'
),

screens as (
    select * from {{ ref('base_segment__screens') }}
    where row_status = 'staged'
),

unioned as (
    select
        id as call_id,
        anonymous_id,
        user_id,
        user_id_in_shop,
        'identify' as kind,
        cast(null as string) as event,
        cast(null as string) as library,
        cast(null as string) as device,
        email,
        created_at,
        timestamp as occurred_at
    from identifies
    {% for calls in ['tracks', 'pages', 'screens'] %}
    union all

    select
        id as call_id,
        anonymous_id,
        user_id,
        user_id_in_shop,
        '{{ calls[:-1] }}' as kind,
        {{ 'lower(event)' if calls == 'tracks' else 'null' }} as event,
        lower(context_library_name) as library,
        context_device_model as device,
        null as email,
        null as created_at,
        timestamp as occurred_at
    from {{ calls }}
    {% endfor %}
),

-- before a login nobody is known: what a device did belongs to whoever logs in on it next, even if somebody else did before
next_logins as (
    select
        *,
        min_by(user_id, case when user_id is not null then cast(occurred_at as string) || ' ' || user_id end) over (
            partition by anonymous_id
            order by occurred_at
            range between current row and unbounded following
        ) as next_user_id
    from unioned
),

identified as (
    select
        -- ids
        call_id,
        anonymous_id,
        coalesce(user_id, case when anonymous_id is not null then next_user_id end) as user_id,
        user_id_in_shop,
        -- text
        kind,
        event,
        case
            when kind = 'page' or library like '%.js%' or library like '%javascript%' then 'web'
            when library like '%android%' then 'android'
            when library like '%ios%' then 'ios'
        end as platform,
        device,
        email,
        -- booleans
        user_id is not null as is_logged_in,
        -- timestamps
        created_at,
        occurred_at
    from next_logins
)

select * from identified
