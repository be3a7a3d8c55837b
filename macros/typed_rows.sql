{#-
  Every row of one raw table, typed as its source YAML declares and told apart by `row_status`:
    staged     the row that counts,
    duplicate  the same row again, or an older version of it (`latest_by`),
    rejected   what cannot be typed or keyed, with `reject_reason` and the raw values in `raw_row`.
  `reject_when` maps a further reason to the condition for it.

  The staging view reads the first, `rejected_rows` the last; a test proves that the three add up to the raw rows. It is a
  table, since both would read the file again.
-#}
{% macro typed_rows(relation, reject_when={}) %}
    {{ config(materialized='table') }}
    {%- if not execute -%}{{ return('select 1 as known_when_dbt_runs') }}{%- endif -%}
    {%- set table = raw_tables() | selectattr('identifier', 'equalto', relation.identifier) | first -%}
    {%- set meta = table.config.meta -%}
    {%- set declared = table.columns.values() | list -%}
    {%- set names = declared | map(attribute='name') | list -%}
    {%- set outputs = typed_columns(relation) -%}
    {%- set raw_text = row_text(names, 'raw__') -%}
    {%- set physical = {} -%}
    {%- for column in adapter.get_columns_in_relation(relation) -%}
        {%- do physical.update({column.name: physical_type(column)}) -%}
    {%- endfor -%}
with raw_rows as (
    select
        {%- for name in names %}
        {{ name }} as raw__{{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ relation }}
),

typed as (
    select
        {%- for column in declared %}
        {{ typed_value('raw__' ~ column.name, column, physical.get(column.name, 'VARCHAR')) }} as {{ column.name }},
        {%- if column.config.meta.also_utc %}
        {{ typed_value('raw__' ~ column.name, column, physical.get(column.name, 'VARCHAR'), utc=true) }} as {{ column.name }}_utc,
        {%- endif %}
        {%- endfor %}
        *
    from raw_rows
),

judged as (
    select
        *,
        case
            {%- for column in declared if column.config.meta.not_null %}
            when raw__{{ column.name }} is null then '{{ column.name }}: missing'
            {%- endfor %}
            {%- for column in declared if not column.config.meta.lenient %}
            when raw__{{ column.name }} is not null and {{ column.name }} is null then '{{ column.name }}: not a {{ column.data_type }}'
            {%- endfor %}
            {%- for reason, condition in reject_when.items() %}
            when {{ condition }} then '{{ reason }}'
            {%- endfor %}
        end as reject_reason
    from typed
),

keyed as (
    select
        {{ outputs | join(',\n        ') }},
        reject_reason,
        case when reject_reason is not null then {{ json_row(names, 'raw__') }} end as raw_row,
        {%- if meta.key_is_optional %}
        coalesce(
            {{ meta.key[0] }},
            md5({{ raw_text }}) || '-' || row_number() over (partition by {{ raw_text }}, {{ meta.key[0] }} order by 1)
        ) as row_key
        {%- elif meta.key %}
        {{ meta.key | join(" || '|' || ") }} as row_key
        {%- else %}
        md5({{ raw_text }}) as row_key
        {%- endif %}
    from judged
),

repeated_keys as (
    select row_key
    from keyed
    where reject_reason is null
    group by row_key
    having count(*) > 1
),

-- only rows whose key comes more than once are ranked: a window over everything costs several times the memory
versions as (
    select
        keyed.*,
        {{ row_text(outputs) }} as row_text
    from keyed
    inner join repeated_keys on keyed.row_key = repeated_keys.row_key
    where keyed.reject_reason is null
),

ranked as (
    select
        *,
        row_number() over latest as version_rank,
        first_value(row_text) over latest as latest_text
    from versions
    window latest as (
        partition by row_key
        order by {% if meta.latest_by %}{{ meta.latest_by }} desc nulls last, {% endif %}row_text
    )
),

statuses as (
    select
        {{ outputs | join(', ') }},
        row_key,
        case
            when version_rank = 1 then 'staged'
            when row_text = latest_text{{ " or true" if meta.latest_by }} then 'duplicate'
            else 'rejected'
        end as row_status,
        case
            when row_text != latest_text and {{ 'false' if meta.latest_by else 'true' }}
                then '{{ (meta.key or ["row"]) | join(", ") }}: repeated with other values'
        end as reject_reason,
        case when row_text != latest_text then {{ json_row(outputs) }} end as raw_row
    from ranked

    union all

    select
        {{ outputs | join(', ') }},
        row_key,
        case when reject_reason is null then 'staged' else 'rejected' end as row_status,
        reject_reason,
        raw_row
    from keyed
    where reject_reason is not null or row_key not in (select repeated_keys.row_key from repeated_keys)
)

select * from statuses
{% endmacro %}


{#-
  One raw value as its declared type, or null if it is not one. `physical` is the type that the file holds. Timestamps
  are wall clock in the business time zone, or UTC if asked for.
-#}
{% macro typed_value(value, column, physical, utc=false) %}
    {%- set type = column.data_type -%}
    {%- if type == 'timestamp' and (physical.endswith('INT') or physical.endswith('INTEGER')) -%}
        {#- a day as a number, 20240131 -#}
        {{ return(typed_value("cast(" ~ value ~ " as string)", column, 'VARCHAR', utc)) }}
    {%- endif -%}
    {%- set is_text = physical == 'VARCHAR' -%}
    {%- if type == 'string' and is_text -%}
        {{ return(value) }}
    {%- elif type == 'string' and physical in ['DOUBLE', 'FLOAT'] -%}
        {#- ids that a data frame turned into floats: 13085.0 is 13085 -#}
        {{ return("case when " ~ value ~ " = floor(" ~ value ~ ") then cast(cast(" ~ value ~ " as bigint) as string) else cast(" ~ value ~ " as string) end") }}
    {%- elif type == 'bigint' and is_text -%}
        {{ return("case when " ~ matches(value, '^[+-]?[0-9]+(\\.0+)?$') ~ " then try_cast(try_cast(" ~ value ~ " as decimal(38, 4)) as bigint) end") }}
    {%- elif type == 'bigint' -%}
        {{ return("case when " ~ value ~ " = floor(" ~ value ~ ") then try_cast(" ~ value ~ " as bigint) end") }}
    {%- elif type == 'timestamp' -%}
        {%- set zone = 'UTC' if utc else var('business_time_zone') -%}
        {%- set wall_clock = parse_timestamp(value, column.config.meta.format) if is_text else "try_cast(" ~ value ~ " as timestamp)" -%}
        {%- set without_offset = wall_clock_to_utc(wall_clock) if utc else wall_clock -%}
        {%- if physical == 'TIMESTAMP WITH TIME ZONE' -%}
            {{ return(instant_to_wall_clock(value, zone)) }}
        {%- elif not is_text -%}
            {{ return(without_offset) }}
        {%- endif -%}
        {{ return("case when " ~ matches(value, '[0-9]:[0-9].*(Z|z|[+-][0-9]{2}(:?[0-9]{2})?)$')
            ~ " then " ~ instant_to_wall_clock(parse_instant(value), zone) ~ " else " ~ without_offset ~ " end") }}
    {%- else -%}
        {{ return("try_cast(" ~ value ~ " as " ~ type ~ ")") }}
    {%- endif -%}
{% endmacro %}
