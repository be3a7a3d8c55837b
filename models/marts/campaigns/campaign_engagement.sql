{%- set outcomes = ['sent', 'delivered', 'opened', 'clicked', 'bounced', 'unsubscribed', 'complained'] -%}
{%- set counts = outcomes + ['click_orders', 'delivery_orders'] -%}
with campaign_days as (
    select * from {{ ref('int_campaign_days') }}
),

campaigns as (
    select * from {{ ref('int_campaigns') }}
),

campaign_results as (
    select * from {{ ref('campaign_results') }}
    where campaign_id is not null
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

senders as (
    select
        campaign_days.campaign_key,
        campaign_days.source,
        campaign_days.campaign_id,
        cast(date_trunc('month', min(campaign_days.sent_date)) as date) as first_month,
        max(as_of.as_of_date) as last_day,
        sum(campaign_days.sent) as sent
    from campaign_days
    cross join as_of
    group by campaign_days.campaign_key, campaign_days.source, campaign_days.campaign_id
),

-- from its first month on, since a month without messages says something too
months as (
    select
        campaign_key,
        {{ calendar('first_month', 'last_day', 'month') }}
    from senders
),

monthly as (
    select
        campaign_key,
        cast(date_trunc('month', sent_date) as date) as month,
        max(sent_date) as last_sent_date,
        {%- for count in counts %}
        cast(sum({{ count }}) as bigint) as {{ count }},
        {%- endfor %}
        {{ money('sum(click_revenue)') }} as click_revenue,
        {{ money('sum(delivery_revenue)') }} as delivery_revenue
    from campaign_days
    group by campaign_key, cast(date_trunc('month', sent_date) as date)
),

-- of several audiences of a campaign the one in which most people were compared
measured as (
    select *
    from campaign_results
    qualify row_number() over (
        partition by campaign_id
        order by treated_people + control_people desc, audience asc
    ) = 1
),

filled as (
    select
        months.campaign_key,
        senders.source,
        senders.campaign_id,
        coalesce(campaigns.campaign_name, senders.campaign_id, 'none') as campaign_name,
        coalesce(campaigns.channel, 'unknown') as channel,
        coalesce(campaigns.campaign_type, 'unknown') as campaign_type,
        months.period_start as month,
        {%- for count in counts %}
        coalesce(monthly.{{ count }}, 0) as {{ count }},
        {%- endfor %}
        coalesce(monthly.click_revenue, 0) as click_revenue,
        coalesce(monthly.delivery_revenue, 0) as delivery_revenue,
        campaigns.cost as campaign_cost,
        senders.sent as campaign_sent,
        sum(coalesce(monthly.sent, 0)) over (
            partition by months.campaign_key
            order by months.period_start rows unbounded preceding
        ) as sent_so_far,
        last_day(months.period_start) <= as_of.as_of_date as is_complete,
        coalesce({{ add_days('monthly.last_sent_date', var('goal_window_days')) }} <= as_of.as_of_date, true)
            as is_goal_window_over,
        measured.audience as measured_audience,
        coalesce(measured.result, 'not measured') as measured_result,
        measured.difference as measured_difference,
        measured.incremental_revenue as measured_incremental_revenue
    from months
    cross join as_of
    inner join senders on months.campaign_key = senders.campaign_key
    left join monthly on months.campaign_key = monthly.campaign_key and months.period_start = monthly.month
    left join campaigns on months.campaign_key = campaigns.campaign_key
    left join measured on senders.campaign_id = measured.campaign_id
),

-- the cost by messages: differences of rounded running sums, so that the months add up to it
costed as (
    select
        *,
        {{ money_share('campaign_cost', 'sent_so_far', 'campaign_sent') }} as cost_so_far
    from filled
),

final as (
    select
        campaign_key,
        source,
        campaign_id,
        campaign_name,
        channel,
        campaign_type,
        month,
        {{ month_label('month') }} as month_label,
        sent,
        delivered,
        opened,
        clicked,
        bounced,
        unsubscribed,
        complained,
        {{ ratio('bounced', 'sent') }} as bounce_rate,
        {{ ratio('opened', 'delivered') }} as open_rate,
        {{ ratio('clicked', 'delivered') }} as click_rate,
        {{ ratio('unsubscribed', 'delivered') }} as unsubscribe_rate,
        {{ ratio('complained', 'delivered') }} as complaint_rate,
        cast({{ var('goal_window_days') }} as integer) as goal_window_days,
        click_orders,
        {{ money('click_revenue') }} as click_revenue,
        {{ money_per('click_revenue', 'delivered') }} as click_revenue_per_recipient,
        delivery_orders,
        {{ money('delivery_revenue') }} as delivery_revenue,
        {{ money_per('delivery_revenue', 'delivered') }} as delivery_revenue_per_recipient,
        {{ money('cost_so_far - coalesce(lag(cost_so_far) over (partition by campaign_key order by month), 0)') }} as cost,
        is_complete,
        is_goal_window_over,
        measured_audience,
        measured_result,
        measured_difference,
        measured_incremental_revenue
    from costed
)

select * from final
