{%- set days = 90 -%}
{%- set outcomes = ['sent', 'delivered', 'opened', 'clicked', 'bounced', 'unsubscribed', 'complained'] -%}
{%- set counts = outcomes + ['click_orders', 'delivery_orders'] -%}
with as_of as (
    select * from {{ ref('int_as_of') }}
),

campaign_days as (
    select campaign_days.*
    from {{ ref('int_campaign_days') }} as campaign_days
    cross join as_of
    where campaign_days.sent_date > {{ add_days('as_of.as_of_date', -days) }}
),

campaigns as (
    select * from {{ ref('int_campaigns') }}
),

senders as (
    select distinct
        campaign_key,
        source,
        campaign_id
    from campaign_days
),

calendar as (
    select {{ calendar(add_days('as_of_date', 1 - days), 'as_of_date') }}
    from as_of
),

final as (
    select
        senders.campaign_key,
        senders.source,
        senders.campaign_id,
        coalesce(campaigns.campaign_name, senders.campaign_id, 'none') as campaign_name,
        coalesce(campaigns.channel, 'unknown') as channel,
        coalesce(campaigns.campaign_type, 'unknown') as campaign_type,
        calendar.period_start as sent_date,
        {%- for count in counts %}
        coalesce(campaign_days.{{ count }}, 0) as {{ count }},
        {%- endfor %}
        coalesce(campaign_days.click_revenue, 0) as click_revenue,
        coalesce(campaign_days.delivery_revenue, 0) as delivery_revenue
    from senders
    cross join calendar
    left join campaigns on senders.campaign_key = campaigns.campaign_key
    left join campaign_days
        on senders.campaign_key = campaign_days.campaign_key and calendar.period_start = campaign_days.sent_date
)

select * from final
