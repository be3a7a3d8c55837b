-- address × channel that must not be contacted, with the strongest reason; a suppression blocks whatever its date
with suppressions as (
    select * from {{ ref('stg_esp__suppressions') }}
),

messages as (
    select * from {{ ref('stg_esp__messages') }}
    where complained_at is not null
),

unreadable_noes as (
    select * from {{ ref('int_unreadable_noes') }}
),

block_reasons as (
    select * from {{ ref('block_reasons') }}
),

channels as (
    select * from {{ ref('channels') }}
),

reported as (
    select
        email,
        phone,
        user_id,
        channel,
        reason,
        suppressed_at
    from suppressions

    union all

    select
        email,
        null as phone,
        null as user_id,
        'email' as channel,
        'complaint' as reason,
        complained_at as suppressed_at
    from messages
),

per_address as (
    {% for address_type in ['email', 'phone', 'user_id'] %}
    select
        '{{ address_type }}' as address_type,
        {{ address_type }} as address,
        channel,
        reason,
        suppressed_at
    from reported
    where {{ address_type }} is not null

    union all
    {% endfor %}
    select
        address_type,
        address,
        channel,
        'unsubscribed' as reason,
        null as suppressed_at
    from unreadable_noes
),

-- no channel, or one that nobody knows, means all of them; an unknown reason is an unsubscription
per_channel as (
    select
        per_address.address_type,
        per_address.address,
        channels.channel,
        coalesce(block_reasons.reason, 'unsubscribed') as reason,
        coalesce(block_reasons.position, 4) as position,
        per_address.suppressed_at
    from per_address
    left join block_reasons on per_address.reason = block_reasons.reason
    inner join channels
        on
            per_address.channel = channels.channel
            or per_address.channel is null
            or per_address.reason = 'erased'
            or per_address.channel not in (select known.channel from {{ ref('channels') }} as known)
),

strongest as (
    select
        address_type,
        address,
        channel,
        min_by(reason, position) as reason,
        min(suppressed_at) as suppressed_at
    from per_channel
    group by address_type, address, channel
)

select * from strongest
