-- a warning: a subscription that was renewed after its pause counts as paused; leave paused_at empty once a pause is over
{{ config(severity='warn') }}
select
    source,
    table_name,
    row_key
from {{ ref('row_remarks') }}
where remark like '%paused_at: before renewed_at%'
