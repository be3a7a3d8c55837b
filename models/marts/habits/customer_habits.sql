with people as (
    select * from {{ ref('int_person_facts') }}
),

erased_people as (
    select * from {{ ref('int_erased_people') }}
),

app_habits as (
    select * from {{ ref('int_app_habits') }}
),

progress as (
    select * from {{ ref('int_app_progress') }}
),

goals as (
    select * from {{ ref('int_app_goals') }}
),

reading_habits as (
    select * from {{ ref('int_reading_habits') }}
),

preferences as (
    select * from {{ ref('int_app_preferences') }}
),

last_products as (
    select * from {{ ref('int_last_products') }}
),

goal_counts as (
    select
        count(case when kind = 'step' then 1 end) as onboarding_steps,
        count(case when kind = 'feature' then 1 end) as key_features
    from goals
),

channel_habits as (
    select
        {%- for channel in ['email', 'sms', 'push'] %}
        max(case when channel = '{{ channel }}' then habit end) as {{ channel }}_habit,
        {%- endfor %}
        person_id
    from reading_habits
    group by person_id
),

-- nothing is known of the erased
known_people as (
    select
        people.person_id,
        erased_people.person_id is null as is_known
    from people
    left join erased_people on people.person_id = erased_people.person_id
),

final as (
    select
        known_people.person_id,
        -- active days
        coalesce(app_habits.active_days_7d, 0) as active_days_7d,
        coalesce(app_habits.active_days_30d, 0) as active_days_30d,
        coalesce(app_habits.active_days_90d, 0) as active_days_90d,
        coalesce(app_habits.current_streak_days, 0) as current_streak_days,
        coalesce(app_habits.longest_streak_days, 0) as longest_streak_days,
        app_habits.median_days_between,
        app_habits.disuse_days,
        {{ ratio('app_habits.disuse_days', 'app_habits.median_days_between') }} as disuse_ratio,
        coalesce(app_habits.disuse_days >= {{ var('habit_slip_ratio') }} * app_habits.median_days_between, false)
            as is_slipping,
        -- sessions
        coalesce(app_habits.sessions_30d, 0) as sessions_30d,
        {{ ratio('app_habits.session_events_30d', 'app_habits.sessions_30d') }} as events_per_session_30d,
        app_habits.first_active_date,
        -- onboarding
        coalesce(steps.reached_count, 0) as onboarding_steps_done,
        goal_counts.onboarding_steps,
        next_steps.name as next_onboarding_step,
        steps.completed_at as onboarding_completed_at,
        -- features
        coalesce(features.reached_in_time, 0) as key_features_used_7d,
        goal_counts.key_features,
        next_features.name as missing_key_feature,
        -- messages
        channel_habits.email_habit,
        channel_habits.sms_habit,
        channel_habits.push_habit,
        -- when and where
        preferences.preferred_weekday,
        preferences.preferred_hour,
        preferences.platform,
        preferences.device,
        -- products
        viewed.product_id as last_viewed_product_id,
        viewed.product_name as last_viewed_product_name,
        viewed.last_at as last_viewed_at,
        wished.product_id as last_wished_product_id,
        wished.product_name as last_wished_product_name,
        wished.last_at as last_wished_at,
        coalesce(not viewed.is_bought, false) as viewed_not_bought,
        coalesce(not wished.is_bought, false) as wished_not_bought
    from known_people
    cross join goal_counts
    left join app_habits on known_people.person_id = app_habits.person_id and known_people.is_known
    left join progress as steps on app_habits.person_id = steps.person_id and steps.kind = 'step'
    left join progress as features on app_habits.person_id = features.person_id and features.kind = 'feature'
    left join goals as next_steps
        on
            next_steps.kind = 'step'
            and case when app_habits.person_id is not null then coalesce(steps.next_place, 1) end = next_steps.place
    left join goals as next_features
        on
            next_features.kind = 'feature'
            and case when app_habits.person_id is not null then coalesce(features.next_place, 1) end = next_features.place
    left join channel_habits on known_people.person_id = channel_habits.person_id and known_people.is_known
    left join preferences on app_habits.person_id = preferences.person_id
    left join last_products as viewed on app_habits.person_id = viewed.person_id and viewed.kind = 'viewed'
    left join last_products as wished on app_habits.person_id = wished.person_id and wished.kind = 'wished'
)

select * from final
