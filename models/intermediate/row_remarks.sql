with remarked as (
    {%- for raw in active_raw_tables() %}
    select
        '{{ raw.source }}' as source,
        '{{ raw.table }}' as table_name,
        row_key,
        row_remark as remark
    from {{ ref('base_' ~ raw.source ~ '__' ~ raw.table) }}
    where row_status = 'staged' and row_remark is not null
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select * from remarked
