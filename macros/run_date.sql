{#- The business day on which dbt runs; nothing else in the project reads a clock. -#}
{% macro run_date() %}
    {%- set zone = modules.pytz.timezone(var('business_time_zone')) -%}
    cast('{{ run_started_at.astimezone(zone).strftime("%Y-%m-%d") }}' as date)
{%- endmacro %}
