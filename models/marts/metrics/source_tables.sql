with as_of as (
    select * from {{ ref('int_as_of') }}
),

unreadable_lines as (
    select * from {{ source('raw_files', 'unreadable_lines') }}
),

files as (
    select * from {{ source('raw_files', 'files') }}
),

erased_rows as (
    select * from {{ source('raw_files', 'erased_rows') }}
),

tables as (
    {%- for raw in active_raw_tables() %}
    {%- set occurred_at = event_time(raw.source, raw.table, 'judged') %}
    select
        '{{ raw.source }}' as source,
        '{{ raw.table }}' as table_name,
        {{ 'true' if says_no(raw.source, raw.table) else 'false' }} as says_no,
        count(case when judged.row_status = 'staged' then 1 end) as staged_rows,
        count(case when judged.row_status = 'duplicate' then 1 end) as duplicate_rows,
        count(case when judged.row_status = 'rejected' then 1 end) as rejected_rows,
        count(case when judged.row_status = 'staged' then judged.row_remark end) as remarked_rows,
        -- a stray row from the future makes nothing look fresh
        max(case when judged.row_status = 'staged' and {{ occurred_at }} < as_of.as_of_end then {{ occurred_at }} end)
            as latest_at
    from {{ ref('base_' ~ raw.source ~ '__' ~ raw.table) }} as judged
    cross join as_of
    {% if not loop.last %}
    union all
    {% endif %}
    {%- endfor %}
),

lines as (
    select
        source,
        table_name,
        count(*) as unreadable_lines
    from unreadable_lines
    group by source, table_name
),

erased as (
    select
        source,
        table_name,
        sum(row_count) as row_count,
        sum(blocked_rows) as blocked_rows
    from erased_rows
    group by source, table_name
),

instance_loads as (
    select
        source,
        table_name,
        instance,
        max(loaded_at) as loaded_at
    from files
    group by source, table_name, instance
),

loads as (
    select
        source,
        table_name,
        min(loaded_at) as loaded_at
    from instance_loads
    group by source, table_name
),

with_lines as (
    select
        tables.source,
        tables.table_name,
        tables.staged_rows,
        tables.duplicate_rows,
        tables.rejected_rows + coalesce(lines.unreadable_lines, 0) as rejected_rows,
        tables.remarked_rows,
        cast(coalesce(erased.row_count, 0) as bigint) as erased_rows,
        cast(coalesce(erased.blocked_rows, 0) as bigint) as blocked_rows,
        tables.latest_at,
        loads.loaded_at,
        tables.says_no
    from tables
    left join lines on tables.source = lines.source and tables.table_name = lines.table_name
    left join loads on tables.source = loads.source and tables.table_name = loads.table_name
    left join erased on tables.source = erased.source and tables.table_name = erased.table_name
),

final as (
    select
        with_lines.source,
        with_lines.table_name,
        with_lines.staged_rows + with_lines.duplicate_rows + with_lines.rejected_rows as raw_rows,
        with_lines.staged_rows,
        with_lines.duplicate_rows,
        with_lines.rejected_rows,
        {{ ratio(
            'with_lines.rejected_rows',
            'with_lines.staged_rows + with_lines.duplicate_rows + with_lines.rejected_rows'
        ) }} as rejected_share,
        with_lines.remarked_rows,
        with_lines.erased_rows,
        with_lines.blocked_rows,
        with_lines.latest_at,
        {{ days_between('cast(with_lines.latest_at as date)', 'as_of.as_of_date') }} as days_behind,
        with_lines.loaded_at,
        with_lines.says_no
    from with_lines
    cross join as_of
)

select * from final
