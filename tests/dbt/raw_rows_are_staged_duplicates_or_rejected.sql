-- nothing is dropped without a trace: source_tables accounts for every row of every raw table
with counted as (
    {%- for raw in active_raw_tables() %}
    select
        '{{ raw.source }}' as source,
        '{{ raw.table }}' as table_name,
        count(*) as raw_rows
    from {{ source(raw.source, raw.table) }}

    union all
    {% endfor %}
    select
        source,
        table_name,
        count(*) as raw_rows
    from {{ source('raw_files', 'unreadable_lines') }}
    group by source, table_name
),

totals as (
    select
        source,
        table_name,
        sum(raw_rows) as raw_rows
    from counted
    group by source, table_name
),

source_tables as (
    select * from {{ ref('source_tables') }}
)

select
    totals.source,
    totals.table_name
from totals
left join source_tables on totals.source = source_tables.source and totals.table_name = source_tables.table_name
where
    source_tables.source is null
    or source_tables.raw_rows != totals.raw_rows
    or source_tables.raw_rows != source_tables.staged_rows + source_tables.duplicate_rows + source_tables.rejected_rows
