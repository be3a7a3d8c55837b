with people as (
    select * from {{ ref('int_person_facts') }}
),

profiles as (
    select * from {{ ref('int_profiles') }}
),

phone_keys as (
    select * from {{ ref('int_phone_keys') }}
),

erased_people as (
    select * from {{ ref('int_erased_people') }}
),

stage_history as (
    select * from {{ ref('customer_stage_history') }}
    where exited_at is null
),

stage_crosswalk as (
    select * from {{ ref('stage_crosswalk') }}
    where framework = 'CLM'
),

customer_rfm as (
    select * from {{ ref('customer_rfm') }}
),

customer_channels as (
    select * from {{ ref('customer_channels') }}
),

reachable as (
    select
        {%- for channel in ['email', 'sms', 'push', 'ads'] %}
        bool_or(channel = '{{ channel }}' and can_contact) as can_{{ channel }},
        {%- endfor %}
        person_id
    from customer_channels
    group by person_id
),

-- nothing that identifies an erased person leaves the intermediate layer
shown_profiles as (
    select
        {%- for attribute in [
            'primary_customer_id', 'app_user_id', 'email', 'phone', 'first_name', 'last_name', 'country', 'region',
            'city', 'language', 'time_zone', 'postal_code', 'birth_date', 'gender', 'acquisition_channel',
        ] %}
        case when erased_people.person_id is null then profiles.{{ attribute }} end as {{ attribute }},
        {%- endfor %}
        case when erased_people.person_id is null then phone_keys.phone_e164 end as phone_e164,
        profiles.person_id
    from profiles
    left join phone_keys on profiles.phone = phone_keys.phone and profiles.phone_region = phone_keys.region
    left join erased_people on profiles.person_id = erased_people.person_id
),

final as (
    select
        -- who
        people.person_id,
        shown_profiles.primary_customer_id,
        shown_profiles.app_user_id,
        shown_profiles.email,
        shown_profiles.phone,
        shown_profiles.phone_e164,
        shown_profiles.first_name,
        shown_profiles.last_name,
        shown_profiles.country,
        shown_profiles.region,
        shown_profiles.city,
        shown_profiles.language,
        shown_profiles.time_zone,
        shown_profiles.postal_code,
        shown_profiles.birth_date,
        shown_profiles.gender,
        shown_profiles.acquisition_channel,
        people.first_seen_at,
        -- orders
        people.orders_count > 0 as is_customer,
        people.orders_count >= 2 as is_repeat_customer,
        people.orders_count >= {{ var('loyal_min_orders') }} as is_loyal_customer,
        people.orders_count,
        people.first_order_date,
        people.last_order_date,
        people.recency_days,
        people.gross_revenue,
        people.net_revenue,
        {{ money_per('people.net_revenue', 'people.orders_count') }}
            as average_order_value,
        -- activity
        people.last_activity_date,
        people.is_active_30d,
        -- stage
        stage_history.stage,
        stage_history.entered_at as stage_entered_at,
        stage_history.cycle_number,
        stage_crosswalk.framework_stage as clm_stage,
        -- RFM
        customer_rfm.r_score,
        customer_rfm.f_score,
        customer_rfm.m_score,
        customer_rfm.segment as rfm_segment,
        customer_rfm.clm_stage as rfm_clm_stage,
        -- reach
        reachable.can_email,
        reachable.can_sms,
        reachable.can_push,
        reachable.can_ads
    from people
    inner join shown_profiles on people.person_id = shown_profiles.person_id
    inner join stage_history on people.person_id = stage_history.person_id
    inner join stage_crosswalk on stage_history.stage = stage_crosswalk.stage
    inner join reachable on people.person_id = reachable.person_id
    left join customer_rfm on people.person_id = customer_rfm.person_id
)

select * from final
