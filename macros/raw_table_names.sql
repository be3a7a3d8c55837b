{#- The raw tables of each source system; every one has a base model, a staging model and its share of rejected_rows. -#}
{% macro raw_table_names() %}
    {{ return({
        'shop': ['customers', 'orders', 'order_items', 'refunds', 'products', 'referrals', 'feedback'],
        'app': ['users', 'events'],
        'esp': ['contacts', 'consents', 'suppressions', 'campaigns', 'messages'],
        'orders_file': ['orders'],
        'online_retail': ['lines'],
    }) }}
{% endmacro %}


{#- The column that says when a row of a raw table happened (`event_time` in the source YAML), or a null. -#}
{% macro event_time(system, name, alias) %}
    {%- set tables = raw_tables() | selectattr('source_name', 'equalto', system) | selectattr('name', 'equalto', name) | list if execute else [] -%}
    {%- set column = tables[0].config.event_time if tables else none -%}
    {{ return(alias ~ '.' ~ column if column else 'cast(null as timestamp)') }}
{% endmacro %}
