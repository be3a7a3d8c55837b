{#-
  The warehouse remembers whether its last run was green: scripts/publish.py copies marts only then. The row is
  written as unfinished at the start, so that a killed run is not green either.
-#}
{% macro start_invocation() %}
    {%- do run_query("create schema if not exists audit") -%}
    {%- do run_query("create table if not exists audit.invocations (invocation_id varchar, command varchar, started_at timestamp, is_green boolean)") -%}
    {%- if flags.WHICH in ['build', 'run', 'seed', 'test'] -%}
        {%- do run_query("insert into audit.invocations values ('" ~ invocation_id ~ "', '" ~ flags.WHICH ~ "', '" ~ run_started_at.strftime('%Y-%m-%d %H:%M:%S') ~ "', null)") -%}
    {%- endif -%}
{% endmacro %}

{% macro record_invocation(results) %}
    {%- if execute and flags.WHICH in ['build', 'run', 'seed', 'test'] -%}
        {%- set bad = results | map(attribute='status') | map('string') | select('in', ['error', 'fail', 'skipped', 'runtime error']) | list -%}
        update audit.invocations set is_green = {{ 'false' if bad else 'true' }} where invocation_id = '{{ invocation_id }}'
    {%- endif -%}
{% endmacro %}
