-- person × channel with messages in the last habit_message_days: whether they still react to them
with messages as (
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

as_of as (
    select * from {{ ref('int_as_of') }}
),

delivered as (
    select
        addresses.person_id,
        coalesce(campaigns.channel, 'email') as channel,
        messages.delivered_at,
        case when coalesce(messages.opened_at, messages.clicked_at) is not null then messages.delivered_at end as read_at
    from messages
    inner join as_of
        on cast(messages.delivered_at as date) > {{ add_days('as_of.as_of_date', -var('habit_message_days')) }}
    inner join addresses on messages.email = addresses.address
    left join campaigns on messages.campaign_key = campaigns.campaign_key
),

last_read as (
    select
        person_id,
        channel,
        max(read_at) as read_at
    from delivered
    group by person_id, channel
),

counted as (
    select
        delivered.person_id,
        delivered.channel,
        count(*) as delivered,
        count(case when last_read.read_at is null or delivered.delivered_at > last_read.read_at then 1 end) as unread
    from delivered
    inner join last_read on delivered.person_id = last_read.person_id and delivered.channel = last_read.channel
    group by delivered.person_id, delivered.channel
),

final as (
    select
        person_id,
        channel,
        delivered,
        unread,
        case
            when delivered < {{ var('habit_ignored_messages') }} then null
            when unread >= {{ var('habit_gone_messages') }} then 'gone'
            when unread >= {{ var('habit_ignored_messages') }} then 'ignoring'
            else 'reading'
        end as habit
    from counted
)

select * from final
