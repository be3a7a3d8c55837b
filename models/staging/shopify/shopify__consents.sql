{#- An address in a record that cannot be read is a no: what was said of it may be one. -#}
with customers as (
    select * from {{ ref('base_shopify__customer') }}
    where row_status != 'duplicate'
),

exported as (
    select * from {{ ref('base_shopify__customers_export') }}
    where row_status != 'duplicate'
),

said as (
    {%- for channel, email, phone in [('email', 'email', 'cast(null as string)'), ('sms', 'cast(null as string)', 'phone')] %}
    select
        {{ email }} as email,
        {{ phone }} as phone,
        '{{ channel }}' as channel,
        row_status,
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
        row_status,
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
        row_status,
        case lower(accepts_marketing) when 'true' then 'subscribed' else lower(accepts_marketing) end as state,
        accepts_marketing_updated_at as changed_at,
        accepts_marketing_updated_at_utc as changed_at_utc
    from customers
    where email_marketing_consent_state is null and row_status = 'staged'
),

-- not_subscribed is no statement at all; pending, unsubscribed, redacted, invalid, false and what nobody knows are a no
statements as (
    select
        -- text
        email,
        phone,
        channel,
        case when row_status = 'staged' and state = 'subscribed' then 'opted_in' else 'opted_out' end as status,
        'shopify' as source,
        -- timestamps
        case when row_status = 'staged' then changed_at end as changed_at,
        case when row_status = 'staged' then changed_at_utc end as changed_at_utc
    from said
    where coalesce(email, phone) is not null and (row_status = 'rejected' or state != 'not_subscribed')
)

select * from statements
