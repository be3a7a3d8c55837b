-- address × channel that must not be contacted × reason, with the reason's own time; each blocks whatever its date
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

-- the reasons that a suppression can have
block_reasons as (
    select * from {{ ref('block_reasons') }}
    where reason in ('erased', 'complaint', 'hard_bounce', 'unsubscribed')
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
        case
            when reason in (select known.reason from block_reasons as known) then reason
            else 'unsubscribed'
        end as reason,
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

-- no channel, or one that nobody knows, means all of them
per_channel as (
    select
        per_address.address_type,
        per_address.address,
        channels.channel,
        per_address.reason,
        per_address.suppressed_at
    from per_address
    inner join channels
        on
            per_address.channel = channels.channel
            or per_address.channel is null
            or per_address.reason = 'erased'
            or per_address.channel not in (select known.channel from {{ ref('channels') }} as known)
),

-- what has no time holds always, which is earlier than any time
final as (
    select
        address_type,
        address,
        channel,
        reason,
        case when count(suppressed_at) = count(*) then min(suppressed_at) end as suppressed_at
    from per_channel
    group by address_type, address, channel, reason
)

select * from final
