-- the contract of a canonical table, told of the adapter that breaks it: what is required is never null
{%- for provider in all_providers() %}
{%- set relation = ref(provider.model) %}
{%- set columns = canonical_columns(provider.role, provider.table) if execute else [] %}
{%- for column in columns | selectattr('config.meta.required') %}
select
    '{{ provider.model }}' as model,
    '{{ column.name }}' as required_column,
    count(*) as empty_rows
from {{ relation }}
where {{ column.name }} is null
having count(*) > 0

union all
{% endfor %}
{%- endfor %}
select
    'no model' as model,
    'no column' as required_column,
    0 as empty_rows
where 1 = 0
