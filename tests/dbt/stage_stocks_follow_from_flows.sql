-- stocks(m) = stocks(m-1) + in - out for every stage, and the stocks are those of the history's own spells
with transitions as (
    select * from {{ ref('stage_transitions') }}
),

bounds as (
    select
        min(month) as first_month,
        max(month) as last_month
    from transitions
),

months as (
    select {{ calendar('first_month', 'last_month', 'month') }}
    from bounds
),

month_ends as (
    select
        months.period_start as month,
        least({{ next_month('months.period_start') }}, {{ add_days('as_of.as_of_date', 1) }}) as ended_at
    from months
    cross join {{ ref('int_as_of') }} as as_of
),

counted as (
    select
        month_ends.month,
        history.stage,
        count(*) as people
    from month_ends
    inner join {{ ref('customer_stage_history') }} as history
        on
            month_ends.ended_at > history.entered_at
            and (history.exited_at is null or month_ends.ended_at <= history.exited_at)
    group by month_ends.month, history.stage
),

arrived as (
    select
        month,
        to_stage as stage,
        sum(people) as people,
        sum(case when from_stage != to_stage then people else 0 end) as people_in
    from transitions
    group by month, to_stage
),

departed as (
    select
        month,
        from_stage as stage,
        sum(people) as people,
        sum(case when from_stage != to_stage then people else 0 end) as people_out
    from transitions
    group by month, from_stage
),

stocks as (
    select
        arrived.month,
        arrived.stage,
        arrived.people,
        arrived.people_in,
        departed.people_out,
        departed.people as people_at_start,
        coalesce(lag(arrived.people) over (partition by arrived.stage order by arrived.month), 0) as people_before
    from arrived
    inner join departed on arrived.month = departed.month and arrived.stage = departed.stage
)

select stocks.*
from stocks
left join counted on stocks.month = counted.month and stocks.stage = counted.stage
where
    stocks.people != coalesce(counted.people, 0)
    or stocks.people_at_start != stocks.people_before
    or stocks.people != stocks.people_before + stocks.people_in - stocks.people_out

union all

-- and every person of the history is somewhere
select
    counted.month,
    counted.stage,
    counted.people,
    null as people_in,
    null as people_out,
    null as people_at_start,
    null as people_before
from counted
left join stocks on counted.month = stocks.month and counted.stage = stocks.stage
where stocks.stage is null
