-- a suppression or consent row that cannot be read may be a no: mend it before anybody is contacted
select
    source,
    table_name,
    reason
from {{ ref('rejected_rows') }}
where source = 'esp' and table_name in ('suppressions', 'consents')
