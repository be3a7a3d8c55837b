-- nothing is dropped without a trace: source_tables accounts for every row of every raw table
with counted as (
    {%- for system, names in raw_table_names().items() if system in var('sources') %}
    {%- for name in names %}
    select
        '{{ system }}' as source,
        '{{ name }}' as table_name,
        (select count(*) from {{ source(system, name) }}) as raw_rows,
        (select count(*) from {{ ref('stg_' ~ system ~ '__' ~ name) }}) as staged_rows

    union all
    {% endfor %}
    {%- endfor %}
    select
        'every raw table' as source,
        'is one of these' as table_name,
        {{ raw_tables() | length if execute else 0 }} as raw_rows,
        {{ raw_table_names().values() | map('length') | sum }} as staged_rows
),

unreadable_lines as (
    select
        source,
        table_name,
        count(*) as unreadable_lines
    from {{ source('raw_files', 'unreadable_lines') }}
    group by source, table_name
),

accounted as (
    select
        source,
        table_name,
        raw_rows,
        staged_rows
    from {{ ref('source_tables') }}

    union all

    select
        'every raw table' as source,
        'is one of these' as table_name,
        {{ raw_table_names().values() | map('length') | sum }} as raw_rows,
        {{ raw_table_names().values() | map('length') | sum }} as staged_rows
)

select
    counted.source,
    counted.table_name
from counted
left join unreadable_lines on counted.source = unreadable_lines.source and counted.table_name = unreadable_lines.table_name
left join accounted on counted.source = accounted.source and counted.table_name = accounted.table_name
where
    accounted.source is null
    or accounted.raw_rows != counted.raw_rows + coalesce(unreadable_lines.unreadable_lines, 0)
    or accounted.staged_rows != counted.staged_rows
