-- campaign × day on which it sent: what became of the messages, and what was ordered after them
with all_messages as (
    select * from {{ ref('stg_esp__messages') }}
),

addresses as (
    select * from {{ ref('int_person_addresses') }}
    where address_type = 'email'
),

orders as (
    select * from {{ ref('orders') }}
    where person_id is not null
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

messages as (
    select
        all_messages.source_system as source,
        all_messages.campaign_id,
        all_messages.source_system || ':' || all_messages.message_id as message_key,
        all_messages.email,
        cast(all_messages.sent_at as date) as sent_date,
        coalesce(all_messages.delivered_at, all_messages.sent_at) as delivered_at,
        all_messages.clicked_at,
        {%- for event in ['opened', 'clicked', 'bounced', 'unsubscribed', 'complained'] %}
        coalesce(all_messages.{{ event }}_at < as_of.as_of_end, false) as is_{{ event }},
        {%- endfor %}
        as_of.as_of_end
    from all_messages
    cross join as_of
    where all_messages.sent_at < as_of.as_of_end
),

-- not every system says what was delivered: what did not bounce was, and whatever somebody reacted to
outcomes as (
    select
        *,
        not is_bounced or is_opened or is_clicked or is_unsubscribed or is_complained as is_delivered
    from messages
),

sent as (
    select
        source,
        campaign_id,
        sent_date,
        {%- for event in ['delivered', 'opened', 'clicked', 'bounced', 'unsubscribed', 'complained'] %}
        count(case when is_{{ event }} then 1 end) as {{ event }},
        {%- endfor %}
        count(*) as sent
    from outcomes
    group by source, campaign_id, sent_date
),

touches as (
    {%- for touch in ['delivered', 'clicked'] %}
    select
        '{{ touch }}' as touch,
        addresses.person_id,
        outcomes.{{ touch }}_at as happened_at,
        outcomes.message_key,
        outcomes.source,
        outcomes.campaign_id,
        outcomes.sent_date
    from outcomes
    inner join addresses on outcomes.email = addresses.address
    where outcomes.is_{{ touch }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

-- an order stands behind the touches before it: their count is the number of the last of them, so that no order meets each
moments as (
    select
        touch,
        person_id,
        happened_at,
        message_key,
        source,
        campaign_id,
        sent_date,
        1 as touches,
        cast(null as date) as order_date,
        cast(null as decimal(18, 4)) as net_amount
    from touches
    {%- for touch in ['delivered', 'clicked'] %}

    union all

    select
        '{{ touch }}' as touch,
        person_id,
        ordered_at as happened_at,
        order_key as message_key,
        null as source,
        null as campaign_id,
        null as sent_date,
        0 as touches,
        order_date,
        net_amount
    from orders
    {%- endfor %}
),

numbered as (
    select
        *,
        sum(touches) over (
            partition by touch, person_id
            order by happened_at asc, touches desc, message_key asc rows unbounded preceding
        ) as touch_number
    from moments
),

attributed as (
    select
        touched.source,
        touched.campaign_id,
        touched.sent_date,
        count(case when touched.touch = 'clicked' then 1 end) as click_orders,
        sum(case when touched.touch = 'clicked' then ordered.net_amount else 0 end) as click_revenue,
        count(case when touched.touch = 'delivered' then 1 end) as delivery_orders,
        sum(case when touched.touch = 'delivered' then ordered.net_amount else 0 end) as delivery_revenue
    from numbered as ordered
    inner join numbered as touched
        on
            ordered.touch = touched.touch
            and ordered.person_id = touched.person_id
            and ordered.touch_number = touched.touch_number
    where
        ordered.touches = 0
        and touched.touches = 1
        and ordered.order_date <= {{ add_days('cast(touched.happened_at as date)', var('goal_window_days')) }}
    group by touched.source, touched.campaign_id, touched.sent_date
),

final as (
    select
        sent.source || ':' || coalesce(sent.campaign_id, 'none') as campaign_key,
        sent.source,
        sent.campaign_id,
        sent.sent_date,
        sent.sent,
        sent.delivered,
        sent.opened,
        sent.clicked,
        sent.bounced,
        sent.unsubscribed,
        sent.complained,
        coalesce(attributed.click_orders, 0) as click_orders,
        {{ money('coalesce(attributed.click_revenue, 0)') }} as click_revenue,
        coalesce(attributed.delivery_orders, 0) as delivery_orders,
        {{ money('coalesce(attributed.delivery_revenue, 0)') }} as delivery_revenue
    from sent
    left join attributed
        on
            sent.source = attributed.source
            and coalesce(sent.campaign_id, '') = coalesce(attributed.campaign_id, '')
            and sent.sent_date = attributed.sent_date
)

select * from final
