{#- The release that made the marts, for build_settings; dbt does not show macros the version of a package. -#}
{% macro version() %}{{ return('0.2.0') }}{% endmacro %}
