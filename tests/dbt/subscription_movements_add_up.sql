-- what closes a month is what is paid for at its end, and opens the next; trials that began are over or still run
with movements as (
    select
        *,
        least(last_day(month), (select as_of.as_of_date from {{ ref('int_as_of') }} as as_of)) as month_end,
        lag(month) over (order by month) as month_before,
        coalesce(lag(closing_mrr) over (order by month), 0) as closed_before,
        coalesce(lag(subscribers) over (order by month), 0) as subscribers_before,
        row_number() over (order by month desc) as months_ago,
        sum(trials_started - trials_ended) over (order by month) as running_trials
    from {{ ref('subscription_movements') }}
),

subscriptions as (
    select * from {{ ref('int_subscriptions') }}
),

paid as (
    select
        movements.month,
        sum(subscriptions.monthly_price) as mrr,
        count(distinct case
            when subscriptions.monthly_price > 0 then coalesce(subscriptions.person_id, subscriptions.subscription_key)
        end) as subscribers
    from movements
    inner join subscriptions
        on movements.month_end >= subscriptions.paid_from and movements.month_end < subscriptions.paid_until
    group by movements.month
),

today as (
    select
        sum(case when is_active then monthly_price else 0 end) as mrr,
        count(case when trial_ends_on is not null and trial_ended_on is null then 1 end) as running_trials
    from subscriptions
)

select movements.month
from movements
cross join today
left join paid on movements.month = paid.month
where
    movements.opening_mrr != movements.closed_before
    or movements.closing_mrr != movements.opening_mrr + movements.new_mrr + movements.expansion_mrr + movements.reactivated_mrr
    - movements.contraction_mrr - movements.churned_mrr
    or movements.closing_mrr != coalesce(paid.mrr, 0)
    or movements.subscribers != coalesce(paid.subscribers, 0)
    or movements.subscribers != movements.subscribers_before + movements.new_subscribers + movements.reactivated_subscribers
    - movements.churned_subscribers
    or movements.month != coalesce({{ next_month('movements.month_before') }}, movements.month)
    or movements.running_trials < 0
    or (movements.months_ago = 1 and (movements.closing_mrr != today.mrr or movements.running_trials != today.running_trials))
