-- a warning: every address in these rows and lines is a no, see int_unreadable_noes; mend them at their source
{{ config(severity='warn') }}
{%- for table in tables_that_say_no() %}
select
    source,
    table_name,
    row_key
from {{ ref('rejected_rows') }}
where source = '{{ table.source_name }}' and table_name = '{{ table.name }}' and reason not like '%: repeated with other values'

union all
{% endfor %}
select
    source,
    table_name,
    row_key
from {{ ref('rejected_rows') }}
where 1 = 0
