with audiences as (
    select * from {{ ref('int_audiences') }}
),

members as (
    select * from {{ ref('audience_members') }}
),

changes as (
    select * from {{ ref('audience_changes') }}
),

playbook as (
    select * from {{ ref('playbook') }}
),

events as (
    select * from {{ ref('int_audience_events') }}
    where event = 'built'
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

judged as (
    select
        members.audience,
        members.is_holdout,
        {%- for channel in ['email', 'sms', 'push', 'ads'] %}
        (audiences.channels like '%{{ channel }}%' and members.can_{{ channel }}){{ ' or' if not loop.last }}
        {%- endfor %} as is_reachable
    from members
    inner join audiences on members.audience = audiences.audience
),

counted as (
    select
        audience,
        count(*) as people,
        count(case when is_reachable then 1 end) as reachable,
        count(case when is_reachable and is_holdout then 1 end) as held_out
    from judged
    group by audience
),

previous_builds as (
    select
        events.audience,
        max(events.as_of_date) as previous_as_of_date
    from events
    inner join as_of on events.as_of_date < as_of.as_of_date
    group by events.audience
),

moved as (
    select
        audience,
        count(case when event = 'entered' then 1 end) as entered,
        count(case when event = 'left' then 1 end) as gone
    from changes
    group by audience
),

final as (
    select
        as_of.as_of_date,
        audiences.audience,
        audiences.purpose,
        audiences.rule,
        audiences.owner,
        audiences.objective,
        audiences.campaign_id,
        audiences.play,
        playbook.priority,
        audiences.channels,
        audiences.fields,
        audiences.holdout_share,
        coalesce(counted.people, 0) as people,
        coalesce(counted.reachable, 0) as reachable,
        coalesce(counted.held_out, 0) as held_out,
        coalesce(counted.reachable - counted.held_out, 0) as to_send,
        audiences.minimum_size,
        coalesce(counted.reachable - counted.held_out, 0) < audiences.minimum_size as is_below_minimum,
        previous_builds.previous_as_of_date,
        case when previous_builds.previous_as_of_date is not null then coalesce(moved.entered, 0) end as people_entered,
        case when previous_builds.previous_as_of_date is not null then coalesce(moved.gone, 0) end as people_left
    from audiences
    cross join as_of
    left join playbook on audiences.play = playbook.play
    left join counted on audiences.audience = counted.audience
    left join previous_builds on audiences.audience = previous_builds.audience
    left join moved on audiences.audience = moved.audience
)

select * from final
