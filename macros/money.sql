{#- Money is decimal, never floating point: 14 digits before and 4 after the point. -#}
{% macro money(expression) %}cast({{ expression }} as decimal(18, 4)){% endmacro %}

{#-
  Money × a factor of at most 8 decimals (a rate, a quantity), exact, then rounded half up. 19 digits: DuckDB keeps the
  product of two decimals of up to 18 within 18 digits, and a million times a rate overflows.
-#}
{% macro money_times(amount, factor) %}{{ money('cast(' ~ amount ~ ' as decimal(19, 4)) * ' ~ factor) }}{% endmacro %}

{#- Money × part / whole (money or counts of at most 4 decimals), exact, then rounded half up; null if the whole is 0. -#}
{% macro money_share(amount, part, whole) %}{{ return(adapter.dispatch('money_share')(amount, part, whole)) }}{% endmacro %}

{#- Money by a count, exact, then rounded half up; null if the count is 0. -#}
{% macro money_per(amount, count) %}{{ return(money_share(amount, '1', count)) }}{% endmacro %}

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
