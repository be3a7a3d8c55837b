-- address × channel: the latest statement wins, a tie is a no; without a time a no is the latest and a yes the oldest
with statements as (
    select * from {{ ref('int_statements') }}
    where statement in ('opted_in', 'opted_out')
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

-- opt-outs count even when dated after as_of_date, opt-ins only up to it
known as (
    select
        statements.*,
        statements.statement = 'opted_in' as is_opt_in
    from statements
    cross join as_of
    where statements.statement = 'opted_out' or statements.said_at is null or statements.said_at < as_of.as_of_end
),

-- compared in UTC: in the hour that autumn repeats, wall clock would turn a no into a yes
latest as (
    select
        address_type,
        address,
        channel,
        {%- for answer, is_in, undated in [('yes', 'is_opt_in', '0001-01-01'), ('no', 'not is_opt_in', '9999-12-31')] %}
        max(case when {{ is_in }} then coalesce(said_at_utc, cast('{{ undated }}' as timestamp)) end) as {{ answer }}_at_utc,
        max_by(said_at, said_at_utc) filter (where {{ is_in }}) as {{ answer }}_at,
        {%- endfor %}
        bool_or(not is_opt_in and said_at_utc is null) as has_undated_no
    from known
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
        case when is_opted_in then yes_at_utc else no_at_utc end as changed_at_utc,
        case when has_undated_no then yes_at end as overridden_opt_in_at
    from judged
)

select * from states
