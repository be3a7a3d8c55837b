{#- The latest of some times, of which all but the first may be null: to some engines one null would make all null. -#}
{% macro latest_known(first, others) %}
    {%- set times = [first] -%}
    {%- for other in others -%}{%- do times.append("coalesce(" ~ other ~ ", " ~ first ~ ")") -%}{%- endfor -%}
    {{ return("greatest(" ~ times | join(', ') ~ ")") }}
{% endmacro %}
