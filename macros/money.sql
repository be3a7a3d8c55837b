{#- Money is decimal, never floating point: 14 digits before and 4 after the point. -#}
{% macro money(expression) %}cast({{ expression }} as decimal(18, 4)){% endmacro %}

{#- Whether an amount of that day can be converted to the reporting currency. -#}
{% macro has_exchange_rate(currency, timestamp) %}
    (
        coalesce(upper({{ currency }}), '{{ var("reporting_currency") }}') = '{{ var("reporting_currency") }}'
        or coalesce({{ timestamp }} >= (
            select min(rates.month)
            from {{ ref('exchange_rates') }} as rates
            where rates.currency = upper(typed.currency) and rates.reporting_currency = '{{ var("reporting_currency") }}'
        ), false)
    )
{% endmacro %}
