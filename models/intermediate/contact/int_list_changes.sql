-- address × channel × each time that it became contactable or ceased to be, one after the other
with channels as (
    select * from {{ ref('channels') }}
),

statements as (
    select * from {{ ref('int_statements') }}
    where statement in ('opted_in', 'opted_out')
),

suppressions as (
    select * from {{ ref('int_suppressions') }}
),

block_reasons as (
    select * from {{ ref('block_reasons') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

-- a no from after as_of_date holds, a yes does not
said as (
    select
        statements.channel,
        statements.address,
        statements.statement,
        statements.source,
        statements.said_at,
        coalesce(statements.said_at_utc, cast('0001-01-01' as timestamp)) as said_at_utc,
        case statements.statement when 'opted_in' then 0 else 10 end as position
    from statements
    inner join channels
        on statements.channel = channels.channel and statements.address_type = channels.address_type
    cross join as_of
    where statements.statement = 'opted_out' or coalesce(statements.said_at < as_of.as_of_end, true)

    union all

    select
        suppressions.channel,
        suppressions.address,
        suppressions.reason as statement,
        null as source,
        suppressions.suppressed_at as said_at,
        coalesce({{ wall_clock_to_utc('suppressions.suppressed_at') }}, cast('0001-01-01' as timestamp)) as said_at_utc,
        block_reasons.position
    from suppressions
    inner join channels
        on suppressions.channel = channels.channel and suppressions.address_type = channels.address_type
    inner join block_reasons on suppressions.reason = block_reasons.reason
),

-- a no without a time holds always
never_contactable as (
    select distinct
        channel,
        address
    from said
    where said_at is null and statement != 'opted_in'
),

-- at one moment a yes comes before every no, and of several noes the strongest tells why
ordered as (
    select
        said.*,
        row_number() over (
            partition by said.channel, said.address
            order by said.said_at_utc, said.position, coalesce(said.source, '')
        ) as step
    from said
    left join never_contactable on said.channel = never_contactable.channel and said.address = never_contactable.address
    where never_contactable.address is null
),

-- a suppression holds whatever is said after it
states as (
    select
        *,
        case
            when max(case when statement not in ('opted_in', 'opted_out') then 1 else 0 end) over so_far = 1 then 0
            when statement = 'opted_in' then 1
            else 0
        end as is_contactable
    from ordered
    window so_far as (partition by channel, address order by step rows unbounded preceding)
),

compared as (
    select
        *,
        is_contactable - coalesce(lag(is_contactable) over (partition by channel, address order by step), 0) as change
    from states
),

changes as (
    select
        channel,
        address,
        statement as reason,
        change,
        said_at,
        step,
        case
            when change = 1 then coalesce(source, 'unknown')
            else coalesce(lag(source) over (partition by channel, address order by step), 'unknown')
        end as source
    from compared
    where change != 0
),

final as (
    select
        changes.channel,
        changes.address,
        cast(changes.step as bigint) as step,
        changes.source,
        changes.reason,
        cast(changes.change as bigint) as change,
        case
            when changes.said_at >= as_of.as_of_end then as_of.as_of_date
            else cast(changes.said_at as date)
        end as changed_on
    from changes
    cross join as_of
)

select * from final
