-- subscriber × month that ends with other recurring revenue than the one before
with subscriptions as (
    select * from {{ ref('int_subscriptions') }}
    where has_paid and monthly_price > 0
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

-- whom nobody can be tied to is a subscriber of one subscription
changes as (
    select
        coalesce(person_id, subscription_key) as subscriber,
        paid_from as changed_on,
        monthly_price as change
    from subscriptions

    union all

    select
        coalesce(subscriptions.person_id, subscriptions.subscription_key) as subscriber,
        subscriptions.paid_until as changed_on,
        -subscriptions.monthly_price as change
    from subscriptions
    inner join as_of on subscriptions.paid_until <= as_of.as_of_date
),

months as (
    select
        subscriber,
        cast(date_trunc('month', changed_on) as date) as month,
        {{ money('sum(change)') }} as change
    from changes
    group by subscriber, date_trunc('month', changed_on)
),

-- a first payment that ended within its month is one, too
balances as (
    select
        subscriber,
        month,
        month = min(month) over (partition by subscriber) as is_first_paid_month,
        change,
        {{ money('sum(change) over (partition by subscriber order by month)') }} as mrr
    from months
),

final as (
    select
        subscriber,
        month,
        {{ money('mrr - change') }} as mrr_before,
        mrr,
        case
            when mrr = 0 then 'churned'
            when mrr > change and change > 0 then 'expansion'
            when mrr > change then 'contraction'
            when is_first_paid_month then 'new'
            else 'reactivated'
        end as movement,
        {{ money('abs(change)') }} as amount
    from balances
    where change != 0
)

select * from final
