-- records are counted from the bytes of the files, rows in what was read of them
with counted as (
    select
        source,
        table_name,
        sum(records) as records,
        sum(unreadable_lines) as unreadable_lines
    from {{ source('raw_files', 'files') }}
    group by source, table_name
),

listed as (
    select
        source,
        table_name,
        count(*) as unreadable_lines
    from {{ source('raw_files', 'unreadable_lines') }}
    group by source, table_name
),

rows_read as (
    {%- for raw in active_raw_tables() %}
    select
        '{{ raw.source }}' as source,
        '{{ raw.table }}' as table_name,
        count(*) as read_rows
    from {{ source(raw.source, raw.table) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select
    rows_read.source,
    rows_read.table_name,
    counted.records,
    rows_read.read_rows,
    listed.unreadable_lines
from rows_read
left join counted on rows_read.source = counted.source and rows_read.table_name = counted.table_name
left join listed on rows_read.source = listed.source and rows_read.table_name = listed.table_name
where
    coalesce(counted.records, 0) != rows_read.read_rows + coalesce(listed.unreadable_lines, 0)
    or coalesce(counted.unreadable_lines, 0) != coalesce(listed.unreadable_lines, 0)
