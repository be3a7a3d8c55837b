with subscriptions as (
    {{ canonical_rows('shop', 'subscriptions') }}
),

cleaned as (
    select
        -- ids
        source_system,
        subscription_id,
        customer_id,
        -- text
        plan,
        lower(status) as status,
        coalesce({{ currency_code('currency') }}, '{{ reporting_currency() }}') as currency,
        lower({{ strip('interval') }}) as interval,
        -- numerics
        price,
        -- timestamps
        trial_ends_at,
        started_at,
        renewed_at,
        paused_at,
        cancelled_at
    from subscriptions
)

select * from cleaned
