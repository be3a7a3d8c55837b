-- a table of which not one row can be read has another format than its YAML says: publish nothing
{%- for system, names in raw_table_names().items() %}
{%- for name in names %}
select
    '{{ system }}' as source,
    '{{ name }}' as table_name,
    min(reject_reason) as example_reason
from {{ ref('base_' ~ system ~ '__' ~ name) }}
having count(*) > 0 and count(case when row_status = 'staged' then 1 end) = 0
{{ 'union all' if not loop.last }}
{%- endfor %}
{{ 'union all' if not loop.last }}
{%- endfor %}
