{#- A channel that costs attention is closed at the fatigue cap; an ad is not a message. -#}
{%- set channels = {'email': true, 'sms': true, 'push': true, 'ads': false} -%}
-- person × the entry of the playbook to act on: the first that fits and has an open channel
with customers as (
    select * from {{ ref('customers') }}
    where stage != 'erased'
),

signals as (
    select * from {{ ref('int_campaign_signals') }}
),

playbook as (
    select * from {{ ref('playbook') }}
),

contact_pressure as (
    select * from {{ ref('int_contact_pressure') }}
),

people as (
    select
        customers.person_id,
        customers.stage,
        coalesce(customers.rfm_segment, 'none') as rfm_segment,
        coalesce(contact_pressure.messages_count, 0) as messages_count,
        coalesce(contact_pressure.messages_count, 0) >= {{ var('fatigue_cap') }} as is_fatigued,
        {%- for channel, is_message in channels.items() %}
        customers.can_{{ channel }}
        {%- if is_message %} and coalesce(contact_pressure.messages_count, 0) < {{ var('fatigue_cap') }}{% endif %}
            as is_{{ channel }}_open,
        {%- endfor %}
        customers.can_email or customers.can_sms or customers.can_push or customers.can_ads as is_reachable
    from customers
    left join contact_pressure on customers.person_id = contact_pressure.person_id
),

fitting as (
    select
        people.person_id,
        playbook.priority,
        playbook.play,
        playbook.objective,
        playbook.message_idea,
        playbook.reason,
        signals.detail,
        case
            {%- for position in ['first', 'second'] %}
            {%- for channel in channels %}
            when playbook.{{ position }}_channel = '{{ channel }}' and people.is_{{ channel }}_open then '{{ channel }}'
            {%- endfor %}
            {%- endfor %}
        end as channel
    from people
    inner join signals on people.person_id = signals.person_id
    inner join playbook
        on
            signals.signal = playbook.signal
            and playbook.stage in ('any', people.stage)
            and playbook.rfm_segment in ('any', people.rfm_segment)
),

chosen as (
    select
        person_id,
        min(priority) as priority
    from fitting
    where channel is not null
    group by person_id
),

final as (
    select
        people.person_id,
        people.messages_count,
        people.is_fatigued,
        coalesce(fitting.play, 'none') as next_best_action,
        coalesce(fitting.channel, 'none') as channel,
        fitting.objective,
        fitting.message_idea,
        case
            when fitting.play is not null
                then
                    'stage ' || people.stage || ', segment ' || people.rfm_segment
                    || coalesce('; ' || fitting.detail, '') || '; ' || fitting.reason
            when not people.is_reachable then 'no channel may be used'
            when people.is_fatigued
                then
                    cast(people.messages_count as string) || ' messages in {{ var("contact_window_days") }} days,'
                    || ' the cap is {{ var("fatigue_cap") }}'
            else 'no entry of the playbook fits with a channel that may be used'
        end as why
    from people
    left join chosen on people.person_id = chosen.person_id
    left join fitting on chosen.person_id = fitting.person_id and chosen.priority = fitting.priority
)

select * from final
