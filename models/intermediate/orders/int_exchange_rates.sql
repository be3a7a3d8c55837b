with exchange_rates as (
    select * from {{ ref('exchange_rates') }}
    where reporting_currency = '{{ reporting_currency() }}' and currency != '{{ reporting_currency() }}'
),

from_each_month as (
    select
        currency,
        month as valid_from,
        lead(month, 1, cast('9999-12-31' as date)) over (partition by currency order by month) as valid_until,
        rate
    from exchange_rates
),

with_reporting_currency as (
    select * from from_each_month

    union all

    select
        '{{ reporting_currency() }}' as currency,
        cast('0001-01-01' as date) as valid_from,
        cast('9999-12-31' as date) as valid_until,
        cast(1 as decimal(18, 8)) as rate
)

select * from with_reporting_currency
