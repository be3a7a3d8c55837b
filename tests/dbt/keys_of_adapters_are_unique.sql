-- the contract of a canonical table, told of the adapter that breaks it: its key is unique within one system; what is kept by
-- part has grown for years, and its rows are ranked by that very key (macros/by_part.sql)
{%- for provider in all_providers() %}
{%- set relation = ref(provider.model) %}
{%- set key = canonical_table(provider.role, provider.table).config.meta.key if execute else none %}
{%- if key and not is_kept_by_part(provider.system, provider.table) %}
select
    '{{ provider.model }}' as model,
    '{{ key | join(", ") }}' as canonical_key,
    count(*) as repeated_keys
from (
    select 1 as repeated
    from {{ relation }}
    group by {{ key | join(', ') }}
    having count(*) > 1
) as keys
having count(*) > 0

union all
{% endif %}
{%- endfor %}
select
    'no model' as model,
    'no key' as canonical_key,
    0 as repeated_keys
where 1 = 0
