{#- The business day on which dbt runs; nothing else in the project reads a clock. -#}
{% macro run_date() %}
    {%- set name = var('business_time_zone') -%}
    {#- a wrong name is reported before anything runs, see variable_problems -#}
    {%- set zone = modules.pytz.timezone(name if name in modules.pytz.all_timezones else 'UTC') -%}
    cast('{{ run_started_at.astimezone(zone).strftime("%Y-%m-%d") }}' as date)
{%- endmacro %}
