-- a table of which not one row can be read has another format than its YAML says: publish nothing
{%- for raw in active_raw_tables() %}
select
    '{{ raw.source }}' as source,
    '{{ raw.table }}' as table_name,
    min(reject_reason) as example_reason
from {{ ref('base_' ~ raw.source ~ '__' ~ raw.table) }}
having count(*) > 0 and count(case when row_status = 'staged' then 1 end) = 0
{{ 'union all' if not loop.last }}
{%- endfor %}
