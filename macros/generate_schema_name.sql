{#-
  Schemas carry the plain names staging, intermediate, marts and seeds; with the variable prefix_schemas, <target.schema>_marts
  and so on. A project that uses this one as a package may have a macro of this name: then that one names them all.
-#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- if custom_schema_name is none -%} {{ target.schema }}
    {%- else -%} {{ target.schema ~ '_' if var('prefix_schemas') }}{{ custom_schema_name }}
    {%- endif -%}
{%- endmacro %}
