{#-
  Makes the schema `raw_import`: one relation per table that the source YAML declares, read from LIFECYCLE_RAW by
  scripts/raw_reader. Text is imported once and without loss: lines that cannot be read go to `unreadable_lines`, and `files`
  has what was counted in each. Parquet becomes a view, what is optional and absent a typed, empty one, so that models use
  plain source(). All problems are collected, and one error names every one of them.
-#}
{% macro prepare_raw() %}{{ return(adapter.dispatch('prepare_raw')()) }}{% endmacro %}

{% macro duckdb__prepare_raw() %}
    {%- if execute -%}
        {%- set problems, warnings = variable_problems(), [] -%}
        {%- if not run_query("select getvariable('raw_reader')").rows[0][0] -%}
            {%- do problems.append("profiles.yml: the output needs the plugin raw_reader and its module_paths; copy both from the project's own profiles.yml") -%}
        {%- endif -%}
        {%- if problems -%}{{ stop_with(problems) }}{%- endif -%}
        {%- do problems.extend(audience_problems() + package_problems()) -%}

        {%- set request = {
            'tables': raw_tables(), 'sources': active_sources(), 'folder': raw_folder(),
            'databases': var('raw_databases'), 'key_file': key_file(), 'state_tables': state_tables(), 'state_folder': state_folder(),
            'links': links_to_shops(), 'email_key': email_key('id'), 'schema': raw_schema(), 'project': project_name, 'project_folder': invocation_args_dict.project_dir, 'given': invocation_args_dict.vars, 'problems': problems, 'warnings': warnings,
        } -%}
        {{ make_functions() }}
        {%- do adapter.store_relation('raw_reader', none, [], '', '', request) -%}
        {%- for warning in warnings -%}{%- do exceptions.warn(warning) -%}{%- endfor -%}
        {%- if problems -%}{{ stop_with(problems) }}{%- endif -%}

        {{ start_invocation() }}
    {%- endif -%}
{% endmacro %}


{#- The schema of the raw tables, as models/staging/_raw_files__sources.yml declares it. -#}
{% macro raw_schema() %}
    {{ return((graph.sources.values() | selectattr('name', 'equalto', 'unreadable_lines') | selectattr('source_name', 'equalto', 'raw_files') | first).schema) }}
{% endmacro %}


{#- The declared raw tables, in a stable order. -#}
{% macro raw_tables() %}
    {{ return(graph.sources.values() | selectattr('schema', 'equalto', raw_schema()) | selectattr('config.meta.path') | sort(attribute='unique_id') | list) }}
{% endmacro %}


{% macro state_tables() %}
    {{ return(graph.sources.values() | selectattr('source_name', 'equalto', 'state') | sort(attribute='unique_id') | list) }}
{% endmacro %}


{% macro raw_folder() %}{{ return(absolute_folder(env_var('LIFECYCLE_RAW', 'data/demo'))) }}{% endmacro %}

{#- LIFECYCLE_STATE; the demo has a state of its own, so that it never mixes with a real one. -#}
{% macro state_folder() %}
    {%- set is_demo = env_var('LIFECYCLE_RAW', 'data/demo') == 'data/demo' -%}
    {{ return(absolute_folder(env_var('LIFECYCLE_STATE', 'data/demo_state' if is_demo else 'state'))) }}
{% endmacro %}

{#- The file with the key of keyed hashes. -#}
{% macro key_file() %}{{ return(absolute_folder(var('key_file')) if var('key_file') else state_folder() ~ '/key') }}{% endmacro %}

{#- As an absolute path: views outlive the working directory that they were made in. -#}
{% macro absolute_folder(name) %}
    {%- set folder = name | replace('\\', '/') -%}
    {%- set is_absolute = folder.startswith('/') or folder[1:2] == ':' -%}
    {{ return((folder if is_absolute else invocation_args_dict.project_dir ~ '/' ~ folder).rstrip('/')) }}
{% endmacro %}


{% macro sql_text(value) %}{{ return("'" ~ value | replace("'", "''") ~ "'") }}{% endmacro %}

{% macro stop_with(problems) %}
    {{ exceptions.raise_compiler_error(problems | join('\n  ')) }}
{% endmacro %}


{#- As a package: a model of the project around it must not take the place of one of ours by its name alone. -#}
{% macro package_problems() %}
    {%- set problems, models = [], own_models() -%}
    {%- set around = [] -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.name in models and node.unique_id != models[node.name].unique_id -%}
        {%- do around.append(node.unique_id) -%}
    {%- endfor -%}
    {%- for unique_id in own_nodes() | selectattr('resource_type', 'equalto', 'model') | map(attribute='depends_on.nodes') | sum(start=[]) | select('in', around) | unique | sort -%}
        {%- do problems.append(graph.nodes[unique_id].original_file_path ~ " has the name of a model of " ~ models['audience_members'].package_name
            ~ ", and dbt would read it instead; set flags.require_ref_searches_node_package_before_root: true in your dbt_project.yml, or rename it") -%}
    {%- endfor -%}
    {{ return(problems) }}
{% endmacro %}
