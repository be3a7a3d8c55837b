-- subscription that began by as_of_date, with its person, the days on which it is paid for, and its price a month
with subscriptions as (
    select * from {{ ref('stg_shop__subscriptions') }}
),

identity_map as (
    select * from {{ ref('int_identity_map') }}
    where role = 'shop' and source_id is not null
),

exchange_rates as (
    select * from {{ ref('int_exchange_rates') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

-- what comes after as_of_date is not known yet; when a trial ends is
known as (
    select
        subscriptions.*,
        as_of.as_of_date,
        cast(subscriptions.started_at as date) as started_on,
        case
            when cast(subscriptions.trial_ends_at as date) > cast(subscriptions.started_at as date)
                then cast(subscriptions.trial_ends_at as date)
        end as trial_ends_on,
        {%- for name in ['renewed', 'paused', 'cancelled'] %}
        case when subscriptions.{{ name }}_at < as_of.as_of_end then subscriptions.{{ name }}_at end as known_{{ name }}_at,
        {%- endfor %}
        case subscriptions.interval when 'week' then 52 when 'month' then 12 when 'quarter' then 4 when 'year' then 1 end
            as payments_a_year
    from subscriptions
    inner join as_of on subscriptions.started_at < as_of.as_of_end
),

-- days from paid_from to the one before paid_until
dated as (
    select
        *,
        coalesce(trial_ends_on, started_on) as paid_from,
        least(
            coalesce(cast(known_cancelled_at as date), cast('9999-12-31' as date)),
            coalesce(cast(known_paused_at as date), cast('9999-12-31' as date))
        ) as paid_until,
        case
            when trial_ends_on is not null then least(trial_ends_on, coalesce(cast(known_cancelled_at as date), trial_ends_on))
        end as trial_over_on
    from known
),

judged as (
    select
        *,
        paid_from <= as_of_date and paid_from < paid_until as has_paid,
        case when trial_over_on <= as_of_date then trial_over_on end as trial_ended_on
    from dated
),

-- the rate of the month in which it began, for good: movements are of prices, not of currencies
final as (
    select
        judged.source_system || ':' || judged.subscription_id as subscription_key,
        judged.source_system as source,
        judged.subscription_id,
        identity_map.person_id,
        judged.plan,
        judged.status,
        judged.interval,
        {{ money_share('judged.price', 'exchange_rates.rate * 10000 * judged.payments_a_year', '12 * 10000') }} as monthly_price,
        judged.started_at,
        judged.trial_ends_at,
        judged.known_renewed_at as renewed_at,
        judged.known_paused_at as paused_at,
        judged.known_cancelled_at as cancelled_at,
        judged.started_on,
        judged.trial_ends_on,
        judged.trial_ended_on,
        judged.paid_from,
        judged.paid_until,
        judged.has_paid,
        judged.has_paid and judged.paid_until > judged.as_of_date as is_active
    from judged
    inner join exchange_rates
        on
            judged.currency = exchange_rates.currency
            and judged.started_on >= exchange_rates.valid_from
            and judged.started_on < exchange_rates.valid_until
    left join identity_map
        on judged.source_system = identity_map.source and judged.customer_id = identity_map.source_id
)

select * from final
