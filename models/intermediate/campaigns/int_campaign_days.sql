-- campaign × day on which it sent: what became of the messages, and what was ordered after them
with messages as (
    select * from {{ ref('int_messages') }}
),

orders as (
    select * from {{ ref('orders') }}
    where person_id is not null
),

-- only who ordered has orders to be counted
addresses as (
    select * from {{ ref('int_person_addresses') }}
    where address_type = 'email' and person_id in (select orders.person_id from orders)
),

sent as (
    select
        campaign_key,
        source,
        campaign_id,
        sent_date,
        count(*) as sent,
        count(delivered_at) as delivered,
        count(opened_at) as opened,
        count(clicked_at) as clicked,
        count(bounced_at) as bounced,
        count(unsubscribed_at) as unsubscribed,
        count(complained_at) as complained
    from messages
    group by campaign_key, source, campaign_id, sent_date
),

touches as (
    {%- for touch in ['delivered', 'clicked'] %}
    select
        '{{ touch }}' as touch,
        addresses.person_id,
        messages.{{ touch }}_at as happened_at,
        messages.message_key,
        messages.campaign_key,
        messages.sent_date
    from messages
    inner join addresses on messages.email = addresses.address
    where messages.{{ touch }}_at is not null
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

-- an order stands behind the touches before it: their count is the number of the last of them, so that no order meets each
moments as (
    select
        touch,
        person_id,
        happened_at,
        message_key as moment_key,
        campaign_key,
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
        order_key as moment_key,
        null as campaign_key,
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
            order by happened_at asc, touches desc, moment_key asc rows unbounded preceding
        ) as touch_number
    from moments
),

attributed as (
    select
        touched.campaign_key,
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
    group by touched.campaign_key, touched.sent_date
),

final as (
    select
        sent.*,
        coalesce(attributed.click_orders, 0) as click_orders,
        {{ money('coalesce(attributed.click_revenue, 0)') }} as click_revenue,
        coalesce(attributed.delivery_orders, 0) as delivery_orders,
        {{ money('coalesce(attributed.delivery_revenue, 0)') }} as delivery_revenue
    from sent
    left join attributed on sent.campaign_key = attributed.campaign_key and sent.sent_date = attributed.sent_date
)

select * from final
