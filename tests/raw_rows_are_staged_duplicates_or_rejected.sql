-- nothing is dropped without a trace: raw rows = staged + duplicates + rejected, for every raw table
with counted as (
    {%- for system, names in raw_table_names().items() %}
    {%- for name in names %}
    select
        '{{ system }}' as source,
        '{{ name }}' as table_name,
        (select count(*) from {{ source(system, name) }}) as raw_rows,
        (select count(*) from {{ ref('stg_' ~ system ~ '__' ~ name) }}) as staged,
        (
            select count(*) from {{ ref('base_' ~ system ~ '__' ~ name) }}
            where row_status = 'duplicate'
        ) as duplicates,
        (
            select count(*) from {{ ref('rejected_rows') }}
            where source = '{{ system }}' and table_name = '{{ name }}' and reason not like 'line %'
        ) as rejected

    union all
    {% endfor %}
    {%- endfor %}
    select
        'every raw table' as source,
        'is one of these' as table_name,
        {{ raw_tables() | length if execute else 0 }} as raw_rows,
        {{ raw_table_names().values() | map('length') | sum }} as staged,
        0 as duplicates,
        0 as rejected
)

select *
from counted
where raw_rows != staged + duplicates + rejected
