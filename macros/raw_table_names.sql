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
