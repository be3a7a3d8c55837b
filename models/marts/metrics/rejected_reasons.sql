with rejected_rows as (
    select * from {{ ref('rejected_rows') }}
),

reasons as (
    select
        source,
        table_name,
        reason,
        count(*) as rejected_rows
    from rejected_rows
    group by source, table_name, reason
)

select * from reasons
