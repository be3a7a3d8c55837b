-- an order that Segment saw is the shop's: Order Completed is activity, and counts nothing
with calls as (
    select * from {{ ref('int_segment__calls') }}
    where kind != 'identify' and user_id is not null
),

event_names as (
    select * from {{ ref('segment_event_names') }}
),

events as (
    select
        -- ids
        calls.call_id as event_id,
        calls.user_id,
        -- text
        case calls.kind
            when 'page' then 'page_viewed'
            when 'screen' then 'screen_viewed'
            else coalesce(event_names.event_name, calls.event)
        end as event_name,
        calls.platform,
        calls.device,
        -- timestamps
        calls.occurred_at
    from calls
    left join event_names on calls.event = event_names.event
)

select * from events
