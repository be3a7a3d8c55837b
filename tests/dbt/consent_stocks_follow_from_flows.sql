-- stock(m) = stock(m-1) + in - out of every channel and source, and the last stocks are the yeses that stand unsuppressed
with changes as (
    select * from {{ ref('consent_changes') }}
),

steps as (
    select
        *,
        coalesce(lag(contactable_addresses) over (partition by channel, source order by month), 0) as before,
        row_number() over (partition by channel, source order by month desc) as months_ago
    from changes
),

suppressed as (
    select distinct
        address_type,
        address,
        channel
    from {{ ref('int_suppressions') }}
),

standing as (
    select
        states.channel,
        count(*) as addresses
    from {{ ref('int_consent_states') }} as states
    inner join {{ ref('channels') }} as channels
        on states.channel = channels.channel and states.address_type = channels.address_type
    left join suppressed
        on
            states.address_type = suppressed.address_type
            and states.address = suppressed.address
            and states.channel = suppressed.channel
    where states.status = 'opted_in' and suppressed.address is null
    group by states.channel
),

counted as (
    select
        channel,
        sum(contactable_addresses) as addresses
    from steps
    where months_ago = 1
    group by channel
)

select
    channel,
    source,
    month
from steps
where
    contactable_addresses != before + opt_ins - opt_outs - unsubscribed - complaints - hard_bounces - erased
    or contactable_addresses < 0

union all

select
    coalesce(standing.channel, counted.channel) as channel,
    null as source,
    null as month
from standing
full join counted on standing.channel = counted.channel
where coalesce(standing.addresses, 0) != coalesce(counted.addresses, 0)
