with messages as (
    {{ canonical_rows('esp', 'messages') }}
),

cleaned as (
    select
        -- ids
        source_system,
        message_id,
        campaign_id,
        -- text
        {{ email_key('email') }} as email,
        -- timestamps
        sent_at,
        delivered_at,
        opened_at,
        clicked_at,
        bounced_at,
        unsubscribed_at,
        complained_at
    from messages
)

select * from cleaned
