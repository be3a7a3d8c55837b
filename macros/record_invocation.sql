{#-
  The warehouse remembers whether its last run was green, and whether it built everything: scripts/publish.py copies marts
  only then. The row is written as unfinished at the start, so that a killed run is not green either. Where several projects share
  a warehouse, each is known by the schema of its marts.
-#}
{% macro start_invocation() %}
    {%- do run_query("create schema if not exists audit") -%}
    {%- do run_query("create table if not exists audit.invocations (invocation_id varchar, command varchar, started_at timestamp, is_green boolean, is_whole boolean)") -%}
    {%- do run_query("alter table audit.invocations add column if not exists is_whole boolean") -%}
    {%- do run_query("alter table audit.invocations add column if not exists marts_schema varchar") -%}
    {%- if flags.WHICH in ['build', 'run', 'seed', 'test'] -%}{%- do run_query("insert into audit.invocations " ~ invocation_row('null')) -%}{%- endif -%}
{% endmacro %}

{#- This invocation as a row of audit.invocations. -#}
{% macro invocation_row(green) %}
    {%- set partly = ' --empty' if invocation_args_dict.get('empty') else ' --sample' if invocation_args_dict.get('sample') else '' -%}
    {{ return("values ('" ~ invocation_id ~ "', '" ~ flags.WHICH ~ partly ~ "', cast('" ~ run_started_at.strftime('%Y-%m-%d %H:%M:%S') ~ "' as timestamp), "
        ~ green ~ ", " ~ is_whole_build() ~ ", " ~ sql_text(own_models()['audience_members'].schema) ~ ")") }}
{% endmacro %}

{#- Did this command build and test all of it, whoever chose? Unit tests may be left out: they say nothing of these data. -#}
{% macro is_whole_build() %}
    {#- a test of what is disabled stays in the graph, disabled itself -#}
    {%- set left_out = own_nodes() | selectattr('resource_type', 'in', ['model', 'seed', 'snapshot', 'test'])
        | selectattr('config.enabled') | map(attribute='unique_id') | reject('in', selected_resources) | list -%}
    {{ return(flags.WHICH == 'build' and not left_out and not invocation_args_dict.get('empty') and not invocation_args_dict.get('sample')) }}
{% endmacro %}

{#- What is of this project, and the audiences that one that uses it as a package adds. -#}
{% macro own_nodes() %}
    {%- set own = graph.nodes.values() | selectattr('package_name', 'equalto', own_models()['audience_members'].package_name) | list -%}
    {{ return(own + (audience_nodes() | rejectattr('unique_id', 'in', own | map(attribute='unique_id') | list) | list)) }}
{% endmacro %}

{#- Was all of this project green? -#}
{% macro is_green(results) %}
    {%- set own = own_nodes() | map(attribute='unique_id') | list -%}
    {{ return(results | selectattr('node.unique_id', 'in', own) | map(attribute='status') | map('string')
        | select('in', ['error', 'fail', 'skipped', 'runtime error']) | list | length == 0) }}
{% endmacro %}

{% macro record_invocation(results) %}
    {%- if execute and flags.WHICH in ['build', 'run', 'seed', 'test'] -%}{{ adapter.dispatch('record_invocation')(is_green(results)) }}{%- endif -%}
{% endmacro %}

{% macro duckdb__record_invocation(green) %}update audit.invocations set is_green = {{ green }} where invocation_id = '{{ invocation_id }}'{% endmacro %}
