-- each campaign's counts are those of its messages, its last 90 days are days of its months, its cost is shared out
{%- set events = ['opened', 'clicked', 'bounced', 'unsubscribed', 'complained'] %}
with messages as (
    select
        messages.source_system || ':' || coalesce(messages.campaign_id, 'none') as campaign_key,
        count(*) as sent,
        count(case when cast(messages.sent_at as date) > {{ add_days('as_of.as_of_date', -90) }} then 1 end) as sent_of_late,
        {%- for event in events %}
        count(case when messages.{{ event }}_at < as_of.as_of_end then 1 end) as {{ event }},
        {%- endfor %}
        max(as_of.as_of_date) as as_of_date
    from {{ ref('stg_esp__messages') }} as messages
    cross join {{ ref('int_as_of') }} as as_of
    where messages.sent_at < as_of.as_of_end
    group by messages.source_system || ':' || coalesce(messages.campaign_id, 'none')
),

months as (
    select
        campaign_key,
        {%- for event in events %}
        sum({{ event }}) as {{ event }},
        {%- endfor %}
        sum(sent) as sent,
        sum(cost) as cost
    from {{ ref('campaign_engagement') }}
    group by campaign_key
),

last_days as (
    select
        campaign_key,
        sum(sent) as sent
    from {{ ref('campaign_engagement_daily') }}
    group by campaign_key
),

campaigns as (
    select * from {{ ref('int_campaigns') }}
)

select coalesce(messages.campaign_key, months.campaign_key) as campaign_key
from messages
full join months on messages.campaign_key = months.campaign_key
left join last_days on messages.campaign_key = last_days.campaign_key
left join campaigns on messages.campaign_key = campaigns.campaign_key
where
    messages.sent is distinct from months.sent
    {%- for event in events %}
    or messages.{{ event }} is distinct from months.{{ event }}
    {%- endfor %}
    or messages.sent_of_late is distinct from coalesce(last_days.sent, 0)
    or months.cost is distinct from campaigns.cost
