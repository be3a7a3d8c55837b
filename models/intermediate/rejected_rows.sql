with rejected as (
    {%- for raw in active_raw_tables() %}
    select
        '{{ raw.source }}' as source,
        '{{ raw.table }}' as table_name,
        row_key,
        reject_reason as reason,
        raw_row
    from {{ ref('base_' ~ raw.source ~ '__' ~ raw.table) }}
    where row_status = 'rejected'

    union all
    {% endfor %}
    select
        source,
        table_name,
        file_name || ' line ' || line_number as row_key,
        reason,
        raw_line as raw_row
    from {{ source('raw_files', 'unreadable_lines') }}
)

select * from rejected
