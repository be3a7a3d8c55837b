-- a warning: a no whose time cannot be read is a no always, a yes older than every dated no
{{ config(severity='warn') }}
select
    source,
    table_name,
    row_key
from {{ ref('row_remarks') }}
where remark like '%, taken as unknown%'
