-- campaign of an ESP, with its cost in the reporting currency at the rate of its start
with campaigns as (
    select * from {{ ref('stg_esp__campaigns') }}
),

exchange_rates as (
    select * from {{ ref('int_exchange_rates') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

final as (
    select
        campaigns.source_system || ':' || campaigns.campaign_id as campaign_key,
        campaigns.source_system as source,
        campaigns.campaign_id,
        campaigns.campaign_name,
        campaigns.channel,
        campaigns.campaign_type,
        {{ money_times('campaigns.cost', 'exchange_rates.rate') }} as cost
    from campaigns
    cross join as_of
    left join exchange_rates
        on
            coalesce(campaigns.currency, '{{ reporting_currency() }}') = exchange_rates.currency
            and coalesce(cast(campaigns.started_at as date), as_of.as_of_date) >= exchange_rates.valid_from
            and coalesce(cast(campaigns.started_at as date), as_of.as_of_date) < exchange_rates.valid_until
)

select * from final
