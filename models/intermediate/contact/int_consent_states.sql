-- address × channel: the latest statement wins, a tie is a no; without a time a no is the latest and a yes the oldest
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
        {%- for answer, is_in, undated in [('yes', 'is_opt_in', '0001-01-01'), ('no', 'not is_opt_in', '9999-12-31')] %}
        max(case when {{ is_in }} then coalesce(changed_at_utc, cast('{{ undated }}' as timestamp)) end) as {{ answer }}_at_utc,
        max_by(changed_at, changed_at_utc) filter (where {{ is_in }}) as {{ answer }}_at,
        {%- endfor %}
        bool_or(not is_opt_in and changed_at_utc is null) as has_undated_no
    from per_channel
    group by address_type, address, channel
),

judged as (
    select
        *,
        coalesce(yes_at_utc > no_at_utc, no_at_utc is null) as is_opted_in
    from latest
),

-- the time is that of the statement that stands
states as (
    select
        address_type,
        address,
        channel,
        case when is_opted_in then 'opted_in' else 'opted_out' end as status,
        case
            when is_opted_in then yes_at
            when not has_undated_no then no_at
        end as changed_at,
        case when has_undated_no then yes_at end as overridden_opt_in_at
    from judged
)

select * from states
