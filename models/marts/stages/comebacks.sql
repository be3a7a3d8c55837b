with history as (
    select * from {{ ref('customer_stage_history') }}
),

orders as (
    select * from {{ ref('orders') }}
),

messages as (
    select * from {{ ref('int_messages') }}
    where delivered_at is not null
),

campaigns as (
    select * from {{ ref('int_campaigns') }}
),

addresses as (
    select * from {{ ref('int_person_addresses') }}
    where address_type = 'email'
),

spells as (
    select
        person_id,
        stage,
        entered_at,
        lag(stage) over (partition by person_id order by entered_at) as from_stage
    from history
),

returns as (
    select *
    from spells
    where from_stage in ('at_risk', 'lapsed') and stage not in ('at_risk', 'lapsed', 'erased')
),

-- of several orders at one moment the first is the return
first_orders as (
    select
        returns.person_id,
        returns.from_stage,
        returns.stage as to_stage,
        orders.order_key,
        orders.ordered_at,
        orders.order_date,
        orders.order_number,
        orders.days_since_previous_order as days_away,
        orders.net_amount
    from returns
    inner join orders on returns.person_id = orders.person_id and returns.entered_at = orders.ordered_at
    qualify row_number() over (partition by returns.person_id, returns.entered_at order by orders.order_number) = 1
),

last_messages as (
    select
        first_orders.order_key,
        messages.campaign_key,
        messages.campaign_id,
        messages.delivered_at,
        messages.clicked_at
    from first_orders
    inner join addresses on first_orders.person_id = addresses.person_id
    inner join messages
        on
            addresses.address = messages.email
            and first_orders.ordered_at >= messages.delivered_at
            and first_orders.order_date <= {{ add_days('cast(messages.delivered_at as date)', var('comeback_window_days')) }}
    qualify row_number() over (
        partition by first_orders.order_key
        order by messages.delivered_at desc, messages.message_key desc
    ) = 1
),

final as (
    select
        first_orders.order_key,
        first_orders.person_id,
        first_orders.from_stage,
        first_orders.to_stage,
        first_orders.ordered_at as returned_at,
        first_orders.order_date as return_date,
        first_orders.order_number,
        first_orders.days_away,
        first_orders.net_amount,
        cast({{ var('comeback_window_days') }} as integer) as comeback_window_days,
        last_messages.campaign_key,
        coalesce(campaigns.campaign_name, last_messages.campaign_id, 'none') as campaign_name,
        last_messages.delivered_at as message_at,
        {{ days_between('cast(last_messages.delivered_at as date)', 'first_orders.order_date') }} as days_since_message,
        coalesce(last_messages.clicked_at <= first_orders.ordered_at, false) as is_clicked
    from first_orders
    left join last_messages on first_orders.order_key = last_messages.order_key
    left join campaigns on last_messages.campaign_key = campaigns.campaign_key
)

select * from final
