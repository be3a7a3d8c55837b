with customers as (
    select * from {{ ref('base_shopify__customer') }}
    where row_status = 'staged'
),

exported as (
    select * from {{ ref('base_shopify__customers_export') }}
    where row_status = 'staged'
),

said as (
    {%- for channel, email, phone in [('email', 'email', 'cast(null as string)'), ('sms', 'cast(null as string)', 'phone')] %}
    select
        {{ email }} as email,
        {{ phone }} as phone,
        '{{ channel }}' as channel,
        lower({{ channel }}_marketing_consent_state) as state,
        {{ channel }}_marketing_consent_updated_at as changed_at,
        {{ channel }}_marketing_consent_updated_at_utc as changed_at_utc
    from customers

    union all

    -- the export tells a no from a question never asked as little as it tells when
    select
        {{ email }} as email,
        {{ "replace(phone, '''', '')" if phone == 'phone' else phone }} as phone,
        '{{ channel }}' as channel,
        replace(lower(accepts_{{ channel }}_marketing), 'yes', 'subscribed') as state,
        cast(null as timestamp) as changed_at,
        cast(null as timestamp) as changed_at_utc
    from exported

    union all
    {% endfor %}
    -- what shops said before April 2022
    select
        email,
        cast(null as string) as phone,
        'email' as channel,
        case lower(accepts_marketing) when 'true' then 'subscribed' else lower(accepts_marketing) end as state,
        accepts_marketing_updated_at as changed_at,
        accepts_marketing_updated_at_utc as changed_at_utc
    from customers
    where email_marketing_consent_state is null
),

-- not_subscribed is no statement at all; pending, unsubscribed, redacted, invalid, no, false and what nobody knows are a no
statements as (
    select
        -- text
        email,
        phone,
        channel,
        case state when 'subscribed' then 'opted_in' when 'silence' then 'silence' else 'opted_out' end as status,
        'shopify' as source,
        -- timestamps
        changed_at,
        changed_at_utc
    from said
    where coalesce(email, phone) is not null and state != 'not_subscribed'
)

select * from statements
