-- person × messages in the last contact_window_days, to any of their addresses; what bounced troubled nobody
with messages as (
    select * from {{ ref('stg_esp__messages') }}
    where bounced_at is null
),

addresses as (
    select * from {{ ref('int_person_addresses') }}
    where address_type = 'email'
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

final as (
    select
        addresses.person_id,
        count(*) as messages_count,
        max(messages.sent_at) as last_message_at
    from messages
    inner join addresses on messages.email = addresses.address
    inner join as_of
        on
            messages.sent_at < as_of.as_of_end
            and cast(messages.sent_at as date) > {{ add_days('as_of.as_of_date', -var('contact_window_days')) }}
    group by addresses.person_id
)

select * from final
