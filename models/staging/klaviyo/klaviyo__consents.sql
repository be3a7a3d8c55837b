with profiles as (
    select * from {{ ref('base_klaviyo__profiles') }}
    where row_status = 'staged'
),

-- a no to text messages holds for the person, so it names the e-mail address too
said as (
    {% for channel in ['email', 'sms'] %}
    select
        email,
        {{ 'phone' if channel == 'sms' else 'cast(null as string)' }} as phone,
        '{{ channel }}' as channel,
        upper(replace({{ channel }}_consent, ' ', '_')) as consent,
        {{ channel }}_consent_at as changed_at,
        {{ channel }}_consent_at_utc as changed_at_utc
    from profiles
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

-- who was never asked has said nothing; what nobody knows is a no
consents as (
    select
        email,
        phone,
        channel,
        case when consent = 'SUBSCRIBED' then 'opted_in' else 'opted_out' end as status,
        'klaviyo' as source,
        changed_at,
        changed_at_utc
    from said
    where consent != 'NEVER_SUBSCRIBED'
)

select * from consents
