{#-
  The systems that can be read. An adapter is a folder of models/staging: its raw tables, by the name of their dbt source, and
  the canonical tables that it gives to a role, each as a model <adapter>__<table>. Whose `orders` are a copy of what a shop
  has sold are read only if source_settings.orders_from names them.
-#}
{% macro adapters() %}
    {{ return({
        'canonical': {
            'raw': {
                'shop': ['customers', 'orders', 'order_items', 'refunds', 'products', 'referrals', 'feedback', 'subscriptions'],
                'app': ['users', 'events'],
                'esp': ['contacts', 'consents', 'suppressions', 'campaigns', 'messages'],
            },
            'gives': {
                'shop': ['customers', 'orders', 'order_items', 'refunds', 'products', 'referrals', 'feedback', 'subscriptions'],
                'app': ['users', 'events'],
                'esp': ['contacts', 'consents', 'suppressions', 'campaigns', 'messages'],
            },
        },
        'orders_file': {'raw': {'orders_file': ['orders']}, 'gives': {'shop': ['orders', 'refunds']}},
        'online_retail': {
            'raw': {'online_retail': ['lines']},
            'gives': {'shop': ['orders', 'order_items', 'refunds', 'products']},
        },
        'shopify': {
            'raw': {
                'shopify': [
                    'customer', 'customer_address', 'order', 'order_line', 'order_discount_code', 'refund', 'transaction', 'product',
                    'orders_export', 'customers_export',
                ],
            },
            'gives': {'shop': ['customers', 'orders', 'order_items', 'refunds', 'products'], 'esp': ['consents']},
        },
        'segment': {
            'raw': {'segment': ['identifies', 'tracks', 'pages', 'screens', 'users']},
            'gives': {'app': ['users', 'events']},
        },
        'mailchimp': {
            'raw': {'mailchimp': ['subscribed', 'unsubscribed', 'cleaned', 'nonsubscribed']},
            'gives': {'esp': ['contacts', 'consents', 'suppressions']},
        },
        'klaviyo': {
            'raw': {'klaviyo': ['profiles', 'suppressions']},
            'gives': {'esp': ['contacts', 'consents', 'suppressions']},
        },
    }) }}
{% endmacro %}


{#- Every word that the variable `sources` may hold: the adapters, and the roles of the canonical one. -#}
{% macro known_sources() %}
    {{ return((adapters().keys() | list + ['shop', 'app', 'esp']) | unique | sort | list) }}
{% endmacro %}


{#- The dbt sources that are read; of the adapter canonical all, or only those whose role is named. -#}
{% macro active_sources() %}
    {%- set active = [] -%}
    {%- for name, adapter in adapters().items() -%}
        {%- for source_name in adapter.raw if name in var('sources') or source_name in var('sources') -%}
            {%- do active.append(source_name) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(active) }}
{% endmacro %}


{#- The raw tables that are read, as a list of {source, table}. -#}
{% macro active_raw_tables() %}
    {%- set tables = [] -%}
    {%- for adapter in adapters().values() -%}
        {%- for source_name, names in adapter.raw.items() if source_name in active_sources() -%}
            {%- for name in names -%}{%- do tables.append({'source': source_name, 'table': name}) -%}{%- endfor -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(tables) }}
{% endmacro %}


{#-
  Which models make up a canonical table, as a list of {model, system}; `system` is what ids of different systems are told
  apart by: the adapter, and the role where it is our own layout.
-#}
{% macro providers(role, table) %}
    {%- set settings = var('source_settings', {}) or {} -%}
    {%- set orders_from = settings.get('orders_from') -%}
    {%- set orders_from = [orders_from] if orders_from is string else orders_from -%}
    {%- set found = [] -%}
    {%- for name, adapter in adapters().items() if table in adapter.gives.get(role, []) -%}
        {%- set system = role if name == 'canonical' else name -%}
        {%- set is_read = name in var('sources') or (name == 'canonical' and role in var('sources')) -%}
        {%- set is_of_orders = role == 'shop' and table in ['orders', 'order_items', 'refunds'] -%}
        {%- set counts = (system in orders_from or name in orders_from) if orders_from else adapter.get('orders') != 'copy' -%}
        {%- if is_read and (counts or not is_of_orders) -%}{%- do found.append({'model': name ~ '__' ~ table, 'system': system}) -%}{%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}


{#- The providers of every canonical table, each also with its {role, table}. -#}
{% macro all_providers() %}
    {%- set found, tables = [], [] -%}
    {%- for adapter in adapters().values() -%}
        {%- for role, names in adapter.gives.items() -%}
            {%- for name in names if [role, name] not in tables -%}{%- do tables.append([role, name]) -%}{%- endfor -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- for role, table in tables | sort -%}
        {%- for provider in providers(role, table) -%}{%- do found.append(dict(provider, role=role, table=table)) -%}{%- endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}


{#- The declaration of a canonical table (models/staging/<role>/_<role>__models.yml): the contract of adapters. -#}
{% macro canonical_table(role, table) %}
    {{ return(graph.nodes.values() | selectattr('resource_type', 'equalto', 'model') | selectattr('name', 'equalto', 'stg_' ~ role ~ '__' ~ table) | first) }}
{% endmacro %}

{#- Its declared columns. -#}
{% macro canonical_columns(role, table) %}
    {{ return(canonical_table(role, table).columns.values() | rejectattr('config.meta.derived') | list) }}
{% endmacro %}


{#- The rows of every adapter in use, as the declared columns; what an adapter leaves out is null, and without any there are no rows. -#}
{% macro canonical_rows(role, table) %}
    {#- a unit test has no graph, and gives an adapter's rows in whole -#}
    {%- set columns = canonical_columns(role, table) if execute and graph.nodes else [] -%}
    {%- for provider in providers(role, table) %}
    {%- set relation = ref(provider.model) -%}
    {%- set present = adapter.get_columns_in_relation(relation) | map(attribute='name') | map('lower') | list if execute else [] %}
    select
        {%- for column in columns %}
        cast({{ column.name if column.name in present or not present else 'null' }} as {{ column.data_type }}) as {{ column.name }},
        {%- endfor %}
        {%- if not columns %}
        *,
        {%- else %}
        {{ 'part' if 'part' in present else 'cast(null as string)' }} as part,
        {%- endif %}
        '{{ provider.system }}' as source_system
    from {{ relation }}
    {{ 'union all' if not loop.last }}
    {%- else %}
    select
        {%- for column in columns %}
        cast(null as {{ column.data_type }}) as {{ column.name }},
        {%- endfor %}
        cast(null as string) as part,
        cast(null as string) as source_system
    where 1 = 0
    {%- endfor %}
{% endmacro %}


{#- The staged rows of a raw table in its declared columns. -#}
{% macro staged_rows(source_name, table) %}
    {%- set columns = typed_columns(source(source_name, table)) if execute else ['1 as known_when_dbt_runs'] -%}
    {%- if is_kept_by_part(source_name, table) -%}{%- do columns.append('part') -%}{%- endif -%}
select
    {{ columns | join(',\n    ') }}
from {{ ref('base_' ~ source_name ~ '__' ~ table) }}
where row_status = 'staged'
{% endmacro %}


{#- Are the rows of a raw table kept by part (macros/by_part.sql)? -#}
{% macro is_kept_by_part(source_name, table) %}
    {%- set base = graph.nodes.values() | selectattr('name', 'equalto', 'base_' ~ source_name ~ '__' ~ table) | list if execute else [] -%}
    {{ return(base and base[0].config.materialized == 'by_part') }}
{% endmacro %}


{#- The columns that a base model types of its source: the declared ones, and some times in UTC beside. -#}
{% macro typed_columns(relation) %}
    {%- set table = raw_tables() | selectattr('identifier', 'equalto', relation.identifier) | first -%}
    {%- set declared = table.columns.values() | list -%}
    {{ return((declared | map(attribute='name') | list)
        + (declared | selectattr('config.meta.also_utc') | map(attribute='name') | map('replace', '_at', '_at_utc') | list)) }}
{% endmacro %}


{#- The column that says when a row of a raw table happened (`event_time` in the source YAML), or a null. -#}
{% macro event_time(system, name, alias) %}
    {%- set tables = raw_tables() | selectattr('source_name', 'equalto', system) | selectattr('name', 'equalto', name) | list if execute else [] -%}
    {%- set column = tables[0].config.event_time if tables else none -%}
    {{ return(alias ~ '.' ~ column if column else 'cast(null as timestamp)') }}
{% endmacro %}


{#- Whether people say no in a raw table: `says_no` in the source YAML. -#}
{% macro says_no(system, name) %}
    {%- set tables = raw_tables() | selectattr('source_name', 'equalto', system) | selectattr('name', 'equalto', name) | list if execute else [] -%}
    {{ return((tables[0].config.meta or {}).get('says_no') if tables else none) }}
{% endmacro %}


{#-
  Stops the build where a model of an adapter breaks the contract of its canonical table, before anything reads it: run as a
  post-hook of every adapter's folder. The layout of `canonical` is the contract: tests/test_adapters.py compares its YAML.
-#}
{% macro check_canonical_columns() %}
    {%- set name, table = model.name.split('__') if model.name.count('__') == 1 else (model.name, '') -%}
    {%- set roles = adapters().get(name, {}).get('gives', {}) if name != 'canonical' else {} -%}
    {%- set problems = [] -%}
    {%- for role in roles if execute and table in roles[role] -%}
        {%- set declared = {} -%}
        {%- for column in canonical_columns(role, table) -%}{%- do declared.update({column.name: column}) -%}{%- endfor -%}
        {%- set found = {} -%}
        {%- for column in adapter.get_columns_in_relation(this) -%}{%- do found.update({column.name | lower: column}) -%}{%- endfor -%}
        {%- set place = "adapter '" ~ name ~ "': " ~ model.name ~ "." -%}
        {%- for column in found.values() -%}
            {%- set column_name = column.name | lower -%}
            {%- if column_name not in declared -%}
                {%- do problems.append(place ~ column_name ~ " is no column of " ~ role ~ "." ~ table ~ "; known: " ~ declared.keys() | join(', ')) -%}
            {%- elif physical_type(column) | lower | replace(' ', '') != type_name(declared[column_name].data_type) | lower | replace(' ', '') -%}
                {%- do problems.append(place ~ column_name ~ " is " ~ physical_type(column) | lower ~ ", " ~ role ~ "." ~ table ~ " needs " ~ type_name(declared[column_name].data_type)) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- for column in declared.values() if column.config.meta.required and column.name not in found -%}
            {%- do problems.append(place ~ column.name ~ " is missing, " ~ role ~ "." ~ table ~ " needs it") -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- if problems -%}{{ stop_with(problems) }}{%- endif -%}
{% endmacro %}


{#-
  The shop whose customer ids an app or ESP means: the one that source_settings.<adapter>.links_to names, also of an instance alone;
  else the adapter's own customers, else the only shop's; none if there are several.
-#}
{% macro linked_shop(system, instance=none) %}
    {%- set shops = (providers('shop', 'customers') + providers('shop', 'orders')) | map(attribute='system') | unique | list or ['shop'] -%}
    {%- set own = 'shop' if system in ['app', 'esp'] else system -%}
    {{ return(source_settings(system, instance).links_to or (own if own in shops else shops[0] if shops | length == 1 else none)) }}
{% endmacro %}


{#- The same for every source in use, {source: {instance or '': shop}}. -#}
{% macro links_to_shops() %}
    {%- set links = {} -%}
    {%- for name in active_sources() -%}
        {%- set own = {'': linked_shop(name)} -%}
        {%- for instance in instances_with_settings(name) -%}{%- do own.update({instance: linked_shop(name, instance)}) -%}{%- endfor -%}
        {%- do links.update({name: own}) -%}
    {%- endfor -%}
    {{ return(links) }}
{% endmacro %}


{#- The key of the shop's record that a customer id of an app or ESP means; `shopify:berlin` is an instance of a shop. -#}
{% macro linked_record(role, table) %}
    {%- set id, linked = {'app': 'user_id', 'esp': 'contact_id'}[role], [] -%}
    {%- for provider in providers(role, table) -%}
        {%- for instance in instances_with_settings(provider.system) + [none] -%}
            {%- set shop, _, shop_instance = (linked_shop(provider.system, instance) or '').partition(':') -%}
            {%- set is_instance = " and left(" ~ id ~ ", " ~ (instance | length + 1) ~ ") = " ~ sql_text(instance ~ ':') if instance else '' -%}
            {%- set record = sql_text(shop ~ ':customer:' ~ (shop_instance ~ ':' if shop_instance else '')) ~ " || customer_id" -%}
            {%- do linked.append("when source_system = '" ~ provider.system ~ "'" ~ is_instance ~ " then " ~ (record if shop else 'null')) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return("case " ~ linked | join(' ') ~ " else cast(null as string) end" if linked else "cast(null as string)") }}
{% endmacro %}


{#- An id of a system as the customer id of a shop: only where source_settings.<adapter>.links_to says whose ids they are. -#}
{% macro customer_id_of_shop(name, id) %}
    {%- set settings = source_settings(name) -%}
    {%- set of_instances = (settings.instances or {}).values() | map(attribute='links_to') | select | list -%}
    {{ return(id if settings.links_to or of_instances else "cast(null as string)") }}
{% endmacro %}
