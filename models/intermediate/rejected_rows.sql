with rejected as (
    {% for system, names in raw_table_names().items() %}
    {%- for name in names %}
    select
        '{{ system }}' as source,
        '{{ name }}' as table_name,
        row_key,
        reject_reason as reason,
        raw_row
    from {{ ref('base_' ~ system ~ '__' ~ name) }}
    where row_status = 'rejected'

    union all
    {% endfor %}
    {%- endfor %}
    select
        source,
        table_name,
        file_name || ' line ' || line_number as row_key,
        reason,
        raw_line as raw_row
    from {{ source('raw_files', 'unreadable_lines') }}
)

select * from rejected
