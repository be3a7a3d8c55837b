{{ config(materialized='view') }}
-- message sent by the end of as_of_date, with what had become of it by then
{%- set reactions = ['opened', 'clicked', 'unsubscribed', 'complained'] %}
with messages as (
    select * from {{ ref('stg_esp__messages') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

as_of_then as (
    select
        messages.source_system as source,
        messages.message_id,
        messages.campaign_id,
        messages.email,
        messages.sent_at,
        messages.delivered_at as reported_delivered_at,
        {%- for event in reactions %}
        case when messages.{{ event }}_at < as_of.as_of_end then messages.{{ event }}_at end as {{ event }}_at,
        {%- endfor %}
        case when messages.bounced_at < as_of.as_of_end then messages.bounced_at end as bounced_at
    from messages
    cross join as_of
    where messages.sent_at < as_of.as_of_end
),

final as (
    select
        source || ':' || message_id as message_key,
        source || ':' || coalesce(campaign_id, 'none') as campaign_key,
        source,
        campaign_id,
        email,
        sent_at,
        cast(sent_at as date) as sent_date,
        -- not every system says what was delivered: what did not bounce was, and whatever somebody reacted to
        case
            when bounced_at is null or coalesce({{ reactions | join('_at, ') }}_at) is not null
                then coalesce(reported_delivered_at, sent_at)
        end as delivered_at,
        opened_at,
        clicked_at,
        bounced_at,
        unsubscribed_at,
        complained_at
    from as_of_then
)

select * from final
