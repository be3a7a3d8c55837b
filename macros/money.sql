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

{#- The reporting currency as its ISO 4217 code, however the variable writes it. -#}
{% macro reporting_currency() %}{{ return(var('reporting_currency') | string | trim | upper) }}{% endmacro %}

{#- A currency as its source writes it, as ISO 4217 code. -#}
{% macro currency_code(currency) %}{{ return("nullif(upper(" ~ strip(currency) ~ "), '')") }}{% endmacro %}

{#- Units of a currency for one of its minor unit (a cent is 0.01), by its number of decimals; unknown currencies have two. -#}
{% macro minor_unit(decimals) %}
    {{ return("case " ~ decimals ~ " when 0 then cast(1 as decimal(5, 4)) when 3 then 0.0010 when 4 then 0.0001 else 0.0100 end") }}
{% endmacro %}

{#- A branch for `reject_when`: an amount of that day cannot be converted to the reporting currency. -#}
{% macro without_exchange_rate(currency, timestamp) %}
    {%- set code, reporting = currency_code(currency), reporting_currency() -%}
    when
        {{ code }} != '{{ reporting }}'
        and not coalesce({{ timestamp }} >= (
            select min(rates.month)
            from {{ ref('exchange_rates') }} as rates
            where rates.currency = {{ currency_code('typed.' ~ currency) }} and rates.reporting_currency = '{{ reporting }}'
        ), false)
        then case
            when {{ matches(code, '^[A-Z]{3}$') }}
                then '{{ currency }}: no rate from ' || {{ code }} || ' to {{ reporting }} up to that month; add it to seeds/exchange_rates.csv'
            else '{{ currency }}: not a code of three letters such as EUR; export ISO 4217 codes, which seeds/exchange_rates.csv has'
        end
{% endmacro %}
