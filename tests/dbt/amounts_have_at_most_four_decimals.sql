-- a warning: they are rounded half up, which loses money if an export writes rates or sums of fractions
{{ config(severity='warn') }}
select
    source,
    table_name,
    row_key
from {{ ref('row_remarks') }}
where remark like '%: more than four decimals%'
