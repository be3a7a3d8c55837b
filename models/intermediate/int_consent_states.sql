-- address × channel: the latest statement wins, a tie is a no; a no without a date is the latest, a yes without one the first
with consents as (
    select * from {{ ref('stg_esp__consents') }}
    where status != 'silence'
),

messages as (
    select * from {{ ref('stg_esp__messages') }}
    where unsubscribed_at is not null
),

channels as (
    select * from {{ ref('channels') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

stated as (
    select
        email,
        phone,
        user_id,
        channel,
        status = 'opted_in' as is_opt_in,
        changed_at,
        changed_at_utc
    from consents

    union all

    select
        email,
        null as phone,
        null as user_id,
        'email' as channel,
        false as is_opt_in,
        unsubscribed_at as changed_at,
        {{ wall_clock_to_utc('unsubscribed_at') }} as changed_at_utc
    from messages
),

-- opt-outs count even when dated after as_of_date, opt-ins only up to it
known as (
    select stated.*
    from stated
    cross join as_of
    where not stated.is_opt_in or stated.changed_at is null or stated.changed_at < as_of.as_of_end
),

per_address as (
    {% for address_type in ['email', 'phone', 'user_id'] %}
    select
        '{{ address_type }}' as address_type,
        {{ address_type }} as address,
        channel,
        is_opt_in,
        changed_at,
        changed_at_utc
    from known
    where {{ address_type }} is not null
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

-- a no to an unnamed or unknown channel is a no to all; a yes is one to nothing
per_channel as (
    select
        per_address.address_type,
        per_address.address,
        channels.channel,
        per_address.is_opt_in,
        per_address.changed_at,
        per_address.changed_at_utc
    from per_address
    inner join channels
        on
            per_address.channel = channels.channel
            or (
                not per_address.is_opt_in
                and (
                    per_address.channel is null
                    or per_address.channel not in (select known_channels.channel from {{ ref('channels') }} as known_channels)
                )
            )
),

-- compared in UTC: in the hour that autumn repeats, wall clock would turn a no into a yes
latest as (
    select
        address_type,
        address,
        channel,
        max(case when is_opt_in then changed_at_utc end) as opted_in_at_utc,
        max(case when not is_opt_in then coalesce(changed_at_utc, cast('9999-12-31' as timestamp)) end) as opted_out_at_utc,
        max_by(changed_at, changed_at_utc) filter (where is_opt_in) as opted_in_at,
        max(case when not is_opt_in then changed_at end) as opted_out_at
    from per_channel
    group by address_type, address, channel
),

states as (
    select
        address_type,
        address,
        channel,
        case when opted_out_at_utc is null or opted_in_at_utc > opted_out_at_utc then 'opted_in' else 'opted_out' end as status,
        case
            when opted_out_at_utc is null or opted_in_at_utc > opted_out_at_utc then opted_in_at
            else opted_out_at
        end as changed_at,
        case when opted_out_at_utc = cast('9999-12-31' as timestamp) then opted_in_at end as overridden_opt_in_at
    from latest
)

select * from states
