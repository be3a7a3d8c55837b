with planned_activities as (
    select * from {{ ref('always_on_activities') }}
    where business_model = '{{ var("business_model") }}'
),

campaigns as (
    select * from {{ ref('stg_esp__campaigns') }}
),

messages as (
    select * from {{ ref('stg_esp__messages') }}
),

addresses as (
    select * from {{ ref('int_person_addresses') }}
    where address_type = 'email'
),

customers as (
    select * from {{ ref('customers') }}
),

stage_crosswalk as (
    select * from {{ ref('stage_crosswalk') }}
    where framework = 'RACE'
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

begun_campaigns as (
    select
        campaigns.campaign_id,
        campaigns.channel,
        lower(campaigns.activity) as activity,
        case lower(campaigns.stage)
            when 'reach' then 'Reach'
            when 'act' then 'Act'
            when 'convert' then 'Convert'
            when 'engage' then 'Engage'
            else 'none'
        end as race_stage,
        campaigns.is_always_on,
        cast(campaigns.started_at as date) as begun_on,
        -- one without a start has not begun, though what it sent was sent
        campaigns.started_at is not null and coalesce(campaigns.ended_at >= as_of.as_of_end, true) as is_running
    from campaigns
    cross join as_of
    where coalesce(campaigns.started_at < as_of.as_of_end, true)
),

-- a campaign that the list does not know is shown too: it may go by another name there
unplanned as (
    select
        begun_campaigns.race_stage,
        begun_campaigns.channel,
        begun_campaigns.activity
    from begun_campaigns
    left join planned_activities
        on
            begun_campaigns.channel = planned_activities.channel
            and begun_campaigns.activity = planned_activities.activity
    where
        planned_activities.activity is null
        and begun_campaigns.is_always_on
        and begun_campaigns.is_running
        and begun_campaigns.activity is not null
        and begun_campaigns.channel is not null
),

activities as (
    select
        position,
        race_stage,
        channel,
        activity,
        label,
        reason,
        true as is_planned
    from planned_activities

    union all

    select
        1000 + row_number() over (order by channel, activity) as position,
        min(race_stage) as race_stage,
        channel,
        activity,
        activity as label,
        'runs, but is not on the list' as reason,
        false as is_planned
    from unplanned
    group by channel, activity
),

campaign_facts as (
    select
        activity,
        channel,
        bool_or(is_running) as is_live,
        bool_or(is_running and is_always_on) as is_always_on,
        max(case when is_running and is_always_on then begun_on end) as begun_on
    from begun_campaigns
    group by activity, channel
),

sent as (
    select
        begun_campaigns.activity,
        begun_campaigns.channel,
        messages.email,
        messages.bounced_at is null as has_arrived,
        cast(messages.sent_at as date) as sent_on
    from messages
    inner join begun_campaigns on messages.campaign_id = begun_campaigns.campaign_id
    inner join as_of on messages.sent_at < as_of.as_of_end
),

last_messages as (
    select
        activity,
        channel,
        max(sent_on) as last_sent_on
    from sent
    group by activity, channel
),

-- what a channel has never reported cannot be called silent
reporting_channels as (
    select distinct channel
    from sent
),

people as (
    select
        customers.person_id,
        stage_crosswalk.framework_stage as race_stage
    from customers
    inner join stage_crosswalk on customers.stage = stage_crosswalk.stage
),

stage_sizes as (
    select
        race_stage,
        count(*) as people
    from people
    group by race_stage
),

reached as (
    select
        activities.channel,
        activities.activity,
        count(distinct people.person_id) as people_reached,
        count(distinct case when people.race_stage = activities.race_stage then people.person_id end)
            as people_of_stage_reached
    from activities
    inner join sent
        on activities.activity = sent.activity and activities.channel = sent.channel and sent.has_arrived
    inner join as_of on sent.sent_on > {{ add_days('as_of.as_of_date', -var('touchpoint_days')) }}
    inner join addresses on sent.email = addresses.address
    inner join people on addresses.person_id = people.person_id
    group by activities.channel, activities.activity
),

joined as (
    select
        activities.*,
        coalesce(campaign_facts.is_live, false) as is_live,
        coalesce(campaign_facts.is_always_on, false)
        and reporting_channels.channel is not null
        and coalesce(
            {{ latest_known('campaign_facts.begun_on', ['last_messages.last_sent_on']) }}
            < {{ add_days('as_of.as_of_date', -var('silent_after_days')) }}, true
        ) as is_silent,
        reporting_channels.channel is not null or not coalesce(campaign_facts.is_live, false) as is_measured,
        last_messages.last_sent_on,
        coalesce(stage_sizes.people, 0) as people_in_stage,
        coalesce(reached.people_reached, 0) as people_reached,
        coalesce(reached.people_of_stage_reached, 0) as people_of_stage_reached
    from activities
    cross join as_of
    left join campaign_facts
        on activities.activity = campaign_facts.activity and activities.channel = campaign_facts.channel
    left join last_messages
        on activities.activity = last_messages.activity and activities.channel = last_messages.channel
    left join reporting_channels on activities.channel = reporting_channels.channel
    left join stage_sizes on activities.race_stage = stage_sizes.race_stage
    left join reached on activities.activity = reached.activity and activities.channel = reached.channel
),

with_coverage as (
    select
        *,
        case when is_measured then {{ ratio('people_of_stage_reached', 'people_in_stage') }} end as coverage
    from joined
),

final as (
    select
        cast(position as integer) as position,
        race_stage,
        channel,
        activity,
        label,
        is_planned,
        is_live,
        is_silent,
        case
            when not is_live then 'not running'
            when is_silent then 'silent'
            when not is_measured then 'not measured'
            else 'live'
        end as status,
        last_sent_on,
        people_in_stage,
        case when is_measured then people_reached end as people_reached,
        case when is_measured then people_of_stage_reached end as people_of_stage_reached,
        coverage,
        1 - coverage as gap,
        reason
    from with_coverage
)

select * from final
