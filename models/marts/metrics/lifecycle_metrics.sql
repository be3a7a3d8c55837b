-- running sums of daily changes: cost follows the data, not days × people
with people as (
    select * from {{ ref('int_person_facts') }}
),

orders as (
    select * from {{ ref('orders') }}
    where person_id is not null
),

activity_days as (
    select * from {{ ref('int_activity_days') }}
),

referrals as (
    select * from {{ ref('int_referrals') }}
),

referred_people as (
    select * from {{ ref('int_referred_people') }}
),

feedback as (
    select * from {{ ref('int_feedback') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

daily_sessions as (
    select
        activity_date,
        sum(session_events_count) as session_events,
        sum(sessions_count) as sessions
    from activity_days
    where sessions_count > 0
    group by activity_date
),

changes as (
    select
        cast(first_seen_at as date) as changed_on,
        1 as users,
        0 as customers,
        0 as repeat_customers,
        0 as loyal_customers,
        0 as active_users,
        0 as session_events,
        0 as sessions
    from people

    union all

    select
        order_date as changed_on,
        0 as users,
        case when order_number = 1 then 1 else 0 end as customers,
        case when order_number = 2 then 1 else 0 end as repeat_customers,
        case when order_number = {{ var('loyal_min_orders') }} then 1 else 0 end as loyal_customers,
        0 as active_users,
        0 as session_events,
        0 as sessions
    from orders

    union all

    select
        activity_date as changed_on,
        0 as users,
        0 as customers,
        0 as repeat_customers,
        0 as loyal_customers,
        1 as active_users,
        0 as session_events,
        0 as sessions
    from activity_days

    union all

    select
        active_until as changed_on,
        0 as users,
        0 as customers,
        0 as repeat_customers,
        0 as loyal_customers,
        -1 as active_users,
        0 as session_events,
        0 as sessions
    from activity_days

    union all

    select
        activity_date as changed_on,
        0 as users,
        0 as customers,
        0 as repeat_customers,
        0 as loyal_customers,
        0 as active_users,
        session_events,
        sessions
    from daily_sessions

    union all

    select
        {{ add_days('activity_date', var('active_days')) }} as changed_on,
        0 as users,
        0 as customers,
        0 as repeat_customers,
        0 as loyal_customers,
        0 as active_users,
        -session_events as session_events,
        -sessions as sessions
    from daily_sessions
),

daily_changes as (
    select
        changed_on,
        sum(users) as users,
        sum(customers) as customers,
        sum(repeat_customers) as repeat_customers,
        sum(loyal_customers) as loyal_customers,
        sum(active_users) as active_users,
        sum(session_events) as session_events,
        sum(sessions) as sessions
    from changes
    group by changed_on
),

-- an answer counts for feedback_days
feedback_changes as (
    select
        answered_on as changed_on,
        kind,
        verdict,
        1 as answers
    from feedback

    union all

    select
        {{ add_days('answered_on', var('feedback_days')) }} as changed_on,
        kind,
        verdict,
        -1 as answers
    from feedback
),

campaign_changes as (
    select
        invited_on as changed_on,
        'invites' as metric,
        1 as change
    from referrals

    union all

    select
        signed_up_on as changed_on,
        'referral_sign_ups' as metric,
        1 as change
    from referrals
    where signed_up_on is not null

    union all

    select
        referred_on as changed_on,
        'referred_users' as metric,
        1 as change
    from referred_people

    union all

    select
        changed_on,
        kind || '_answers' as metric,
        answers as change
    from feedback_changes

    union all

    select
        changed_on,
        kind || '_balance' as metric,
        answers * verdict as change
    from feedback_changes
    where verdict != 0
),

bounds as (
    select
        min(daily_changes.changed_on) as first_day,
        max(as_of.as_of_date) as last_day
    from daily_changes
    cross join as_of
),

-- whatever came before the first person was seen counts on the first day
daily_campaign_changes as (
    select
        {%- for metric in [
            'invites', 'referral_sign_ups', 'referred_users', 'nps_answers', 'nps_balance', 'csat_answers', 'csat_balance',
        ] %}
        sum(case when campaign_changes.metric = '{{ metric }}' then campaign_changes.change else 0 end) as {{ metric }},
        {%- endfor %}
        greatest(campaign_changes.changed_on, bounds.first_day) as changed_on
    from campaign_changes
    cross join bounds
    group by greatest(campaign_changes.changed_on, bounds.first_day)
),

days as (
    select {{ calendar('bounds.first_day', 'bounds.last_day', 'day') }}
    from bounds
),

running as (
    select
        {%- for metric in [
            'users', 'customers', 'repeat_customers', 'loyal_customers', 'active_users', 'session_events', 'sessions',
        ] %}
        cast(sum(coalesce(daily_changes.{{ metric }}, 0)) over so_far as bigint) as {{ metric }},
        {%- endfor %}
        {%- for metric in [
            'invites', 'referral_sign_ups', 'referred_users', 'nps_answers', 'nps_balance', 'csat_answers', 'csat_balance',
        ] %}
        cast(sum(coalesce(daily_campaign_changes.{{ metric }}, 0)) over so_far as bigint) as {{ metric }},
        {%- endfor %}
        days.period_start as metric_date
    from days
    left join daily_changes on days.period_start = daily_changes.changed_on
    left join daily_campaign_changes on days.period_start = daily_campaign_changes.changed_on
    window so_far as (order by days.period_start)
),

with_rates as (
    select
        metric_date,
        {{ year_before('metric_date') }} as year_ago_date,
        users,
        customers,
        repeat_customers,
        loyal_customers,
        active_users,
        users - active_users as passive_users,
        {{ ratio('customers', 'users') }} as user_activation_rate,
        {{ ratio('repeat_customers', 'customers') }} as repeat_customer_rate,
        {{ ratio('loyal_customers', 'repeat_customers') }} as loyal_customer_rate,
        {{ ratio('session_events', 'sessions') }} as session_depth,
        invites,
        referral_sign_ups,
        referred_users,
        {{ ratio('invites', 'customers') }} as invites_per_customer,
        {{ ratio('referral_sign_ups', 'invites') }} as referral_conversion,
        {{ ratio('referred_users', 'users') }} as referred_share,
        nps_answers,
        {{ ratio('nps_balance', 'nps_answers') }} as nps,
        csat_answers,
        {{ ratio('csat_balance', 'csat_answers') }} as csat
    from running
),

final as (
    select
        today.metric_date,
        today.users,
        today.customers,
        today.repeat_customers,
        today.loyal_customers,
        today.active_users,
        today.passive_users,
        today.user_activation_rate,
        today.repeat_customer_rate,
        today.loyal_customer_rate,
        today.session_depth,
        today.session_depth - year_ago.session_depth as session_depth_change,
        today.invites,
        today.referral_sign_ups,
        today.referred_users,
        today.invites_per_customer,
        today.referral_conversion,
        today.invites_per_customer * today.referral_conversion as k_factor,
        today.referred_share,
        today.nps_answers,
        today.nps,
        today.csat_answers,
        today.csat
    from with_rates as today
    left join with_rates as year_ago on today.year_ago_date = year_ago.metric_date
)

select * from final
