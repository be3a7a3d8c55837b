-- the file tells the state, and which of its times is the state's
{%- set times = {
    'subscribed': 'coalesce(confirmed_at, opted_in_at)',
    'unsubscribed': 'unsubscribed_at',
    'cleaned': 'cleaned_at',
    'nonsubscribed': 'confirmed_at',
} %}
with
{%- for state in times %}
{{ state }} as (
    select * from {{ ref('base_mailchimp__' ~ state) }}
    where row_status = 'staged'
),
{% endfor %}
members as (
    {% for state, since in times.items() %}
    select
        '{{ state }}' as state,
        euid,
        email,
        phone,
        lower(sms_status) as sms_status,
        {{ 'lower(unsubscribe_reason)' if state == 'unsubscribed' else 'cast(null as string)' }} as reason,
        opted_in_at,
        confirmed_at,
        changed_at,
        {{ since }} as state_since,
        {{ since | replace('_at', '_at_utc') }} as state_since_utc
    from {{ state }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

-- an imported contact has not opted in; some have nothing but a last change
dated as (
    select
        state,
        euid,
        email,
        phone,
        sms_status,
        reason,
        coalesce(opted_in_at, confirmed_at, state_since, changed_at) as first_seen_at,
        state_since,
        state_since_utc
    from members
)

select * from dated
