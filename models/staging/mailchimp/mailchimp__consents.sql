-- an audience is no channel: who agreed to one and left another has said both, and the later holds
with members as (
    select * from {{ ref('int_mailchimp__members') }}
),

-- who bounced or never agreed has said nothing here
consents as (
    select
        email,
        cast(null as string) as phone,
        'email' as channel,
        case when state = 'subscribed' then 'opted_in' else 'opted_out' end as status,
        'mailchimp' as source,
        state_since as changed_at,
        state_since_utc as changed_at_utc
    from members
    where state in ('subscribed', 'unsubscribed')

    union all

    -- Mailchimp does not say when; a no holds for the person, so it names the e-mail address too
    select
        email,
        phone,
        'sms' as channel,
        case when sms_status = 'subscribed' then 'opted_in' else 'opted_out' end as status,
        'mailchimp' as source,
        null as changed_at,
        null as changed_at_utc
    from members
    where sms_status in ('subscribed', 'unsubscribed')
)

select * from consents
