-- a warning: a spreadsheet or float has lost digits, so that different people may have one id; export the ids as text
{{ config(severity='warn') }}
select
    source,
    table_name,
    row_key
from {{ ref('row_remarks') }}
where remark like '%: damaged%'
