{#-
  Every row of one raw table, typed as its source YAML declares and told apart by `row_status`:
    staged     the row that counts,
    duplicate  the same row again, or an older version of it (`latest_by`; of two with one time the one whose text comes first),
    rejected   what cannot be typed or keyed, with `reject_reason` and the raw values in `raw_row`.
  `reject_when` lists further reasons as branches `when ... then ...`; `row_remark` tells what is odd about a row that is taken,
  and `remark_when` lists more of it as {when, text}.

  The staging view reads the first, `rejected_rows` the last; a test proves that the three add up to the raw rows. It is a
  table, since both would read the file again. Of a table that grows with time (`by_part`) only files that are new are read:
  macros/by_part.sql; `part` is the file that a row is from.
-#}
{% macro typed_rows(relation, reject_when=[], remark_when=[], by_part=false) %}
    {{ config(materialized='by_part' if by_part else 'table', post_hook="{{ stop_if_nothing_is_staged() }}") }}
    {%- if not execute -%}{{ return('select 1 as known_when_dbt_runs') }}{%- endif -%}
    {%- set table = raw_tables() | selectattr('identifier', 'equalto', relation.identifier) | first -%}
    {%- set meta = table.config.meta -%}
    {%- set declared = table.columns.values() | list -%}
    {%- set names = declared | map(attribute='name') | list -%}
    {%- set outputs = typed_columns(relation) -%}
    {%- set physical = {} -%}
    {%- for column in adapter.get_columns_in_relation(relation) -%}
        {%- do physical.update({column.name: physical_type(column)}) -%}
    {%- endfor -%}
    {%- set has_instance = 'instance' in physical -%}
    {%- set kept = ['part'] if by_part else [] -%}
    {%- set raw_text = ("coalesce(raw_instance || '/', '') || " if has_instance else '') ~ row_text(names, 'raw__', physical) -%}
    {%- set earliest = "cast('" ~ var('earliest_plausible_date') ~ "' as timestamp)" -%}

    {#- what a typed column still becomes: ids of one of several shops say which, cents are units, implausible times are unknown -#}
    {%- set final, remarked, bare = {}, remark_when | list, [] -%}
    {%- for column in declared -%}
        {%- set name, own = column.name, column.config.meta -%}
        {%- if is_written_id(column, physical.get(name, 'VARCHAR')) -%}{%- do bare.append(name) -%}{%- endif -%}
        {%- if own.id is sameas true and has_instance -%}
            {%- do final.update({name: "case when raw_instance is null then " ~ name ~ " else raw_instance || ':' || " ~ name ~ " end"}) -%}
        {%- elif own.minor_units -%}
            {%- do final.update({name: money_times(name, minor_unit('minor_decimals'))}) -%}
        {%- elif own.lenient and column.data_type == 'timestamp' -%}
            {%- do final.update({name: "case when " ~ name ~ " >= " ~ earliest ~ " then " ~ name ~ " end"}) -%}
            {%- do final.update({name ~ '_utc': "case when " ~ name ~ " >= " ~ earliest ~ " then " ~ name ~ "_utc end"}) -%}
        {%- elif (own.silent_without or own.yes_word) and may_be_silent(table.source_name, has_instance) -%}
            {%- do final.update({name: "case when " ~ may_be_silent(table.source_name, has_instance)
                ~ (" and raw__" ~ own.silent_without ~ " is null" if own.silent_without else '')
                ~ " and coalesce(lower(" ~ name ~ "), '') != '" ~ (own.yes_word or 'opted_in') ~ "' then 'silence' else " ~ name ~ " end"}) -%}
        {%- endif -%}
        {%- do remarked.extend(remarks(('bare__' if name in bare else 'raw__') ~ name, column, physical.get(name, 'VARCHAR'))) -%}
    {%- endfor -%}
    {%- set reasons = [] -%}
    {%- for column in declared if column.config.meta.not_null -%}
        {%- do reasons.append("when " ~ ('' if column.data_type == 'string' else 'raw__') ~ column.name ~ " is null then '" ~ column.name ~ ": missing'") -%}
    {%- endfor -%}
    {%- for column in declared if column.data_type != 'string' and not column.config.meta.lenient -%}
        {%- set name = column.name -%}
        {%- do reasons.append("when raw__" ~ name ~ " is not null and " ~ name ~ " is null then "
            ~ why_not_typed('raw__' ~ name, column, table.source_name, physical.get(name, 'VARCHAR'))) -%}
        {%- if column.data_type == 'timestamp' -%}
            {%- do reasons.append("when " ~ name ~ " < " ~ earliest ~ " then '" ~ name ~ ": before " ~ var('earliest_plausible_date') ~ " (earliest_plausible_date)'") -%}
        {%- elif column.data_type.startswith('decimal') -%}
            {%- do reasons.append("when abs(" ~ name ~ ") > 1000000000000 then '" ~ name ~ ": beyond 1,000,000,000,000'") -%}
        {%- endif -%}
        {%- if column.config.meta.not_negative -%}
            {%- do reasons.append("when " ~ name ~ " < 0 then '" ~ name ~ ": negative; if refunds and discounts come so, declare source_settings." ~ table.source_name ~ ".negative_refunds'") -%}
        {%- endif -%}
    {%- endfor -%}
    {%- do reasons.extend(reject_when) -%}
    {%- set in_minor_units = declared | selectattr('config.meta.minor_units') | list | length > 0 -%}
    {%- set keys = [] -%}
    {%- for name in meta.key or [] -%}{%- do keys.append(final.get(name, name)) -%}{%- endfor -%}
with raw_rows as (
    select
        {%- for column in declared %}
        {%- set is_moment = column.data_type in ['timestamp', 'date'] and is_float(physical.get(column.name, 'VARCHAR')) %}
        {{ "case when not isnan(" ~ column.name ~ ") then " ~ column.name ~ " end" if is_moment else column.name }} as raw__{{ column.name }},
        {%- endfor %}
        {%- if by_part %}
        {{ 'raw_file' if 'raw_file' in physical else 'cast(null as string)' }} as part,
        {%- endif %}
        {{ 'instance' if has_instance else 'cast(null as string)' }} as raw_instance
    from {{ relation }}
),
{%- if bare %}

bare_rows as (
    select
        {%- for name in bare %}
        {{ strip('raw__' ~ name) }} as bare__{{ name }},
        {%- endfor %}
        *
    from raw_rows
),
{%- endif %}

typed as (
    select
        {%- for column in declared %}
        {%- set value, type = ('bare__' if column.name in bare else 'raw__') ~ column.name, physical.get(column.name, 'VARCHAR') %}
        {{ typed_column(value, column, table.source_name, type, 'raw_instance' if has_instance) }} as {{ column.name }},
        {%- if column.config.meta.also_utc %}
        {{ typed_column(value, column, table.source_name, type, 'raw_instance' if has_instance, utc=true) }} as {{ column.name }}_utc,
        {%- endif %}
        {%- endfor %}
        *
    from {{ 'bare_rows' if bare else 'raw_rows' }}
),

judged as (
    select
        *,
        case
            {%- for branch in reasons %}
            {{ branch }}
            {%- else %}
            when 1 = 0 then ''
            {%- endfor %}
        end as reject_reason
    from typed
),

-- computed once, though three CTEs read it
keyed {{ as_materialized() }} (
    select
        {%- for name in outputs %}
        {{ final[name] ~ ' as ' ~ name if name in final else name }},
        {%- endfor %}
        {%- if by_part %}
        part,
        {%- endif %}
        reject_reason,
        case when reject_reason is not null then {{ json_row(names, 'raw__') }} end as raw_row,
        {%- if remarked %}
        case
            when {% for remark in remarked %}{{ ' or ' if not loop.first }}({{ remark.when }}){% endfor %} then substr(
                {%- for remark in remarked %}
                {{ '|| ' if not loop.first }}case when {{ remark.when }} then {{ sql_text('; ' ~ remark.text) }} else '' end
                {%- endfor %}, 3)
        end as row_remark,
        {%- else %}
        cast(null as string) as row_remark,
        {%- endif %}
        {%- if meta.key_is_optional %}
        coalesce(
            {{ keys[0] }}{% if meta.refund_when %} || case when {{ meta.refund_when }} then ':refund:' || md5({{ raw_text }}) else '' end{% endif %},
            md5({{ raw_text }}) || '-' || row_number() over (partition by {{ raw_text }}, {{ meta.key[0] }} order by 1)
        ) as row_key
        {%- elif meta.key %}
        {{ keys | join(" || '|' || ") }} as row_key
        {%- else %}
        md5({{ raw_text }}) as row_key
        {%- endif %}
    from judged
    {%- if in_minor_units %}
    left join (
        select
            currency as minor_currency,
            decimals as minor_decimals
        from {{ ref('currency_minor_units') }}
    ) as minor_units on {{ currency_code('judged.currency') }} = minor_units.minor_currency
    {%- endif %}
),

{{ version_statuses(outputs + kept, outputs, meta) }}

select * from statuses
{% endmacro %}


{#-
  CTEs from `keyed`, rows with a row_key, to `statuses`: which of them counts. `outputs` are kept, and rows are told apart by
  those that are `compared`.
-#}
{% macro version_statuses(outputs, compared, meta) -%}
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
        {{ row_text(compared) }} as row_text
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
        row_remark,
        row_key,
        case
            when version_rank = 1 then 'staged'
            when row_text = latest_text{{ " or true" if meta.latest_by }} then 'duplicate'
            else 'rejected'
        end as row_status,
        case
            when row_text != latest_text and {{ 'false' if meta.latest_by else 'true' }}
                then '{{ (meta.key or ["row"]) | join(", ") ~ repeated_with_other_values() }}'
        end as reject_reason,
        case when row_text != latest_text then {{ json_row(compared) }} end as raw_row
    from ranked

    union all

    select
        {{ outputs | join(', ') }},
        row_remark,
        row_key,
        case when reject_reason is null then 'staged' else 'rejected' end as row_status,
        reject_reason,
        raw_row
    from keyed
    where reject_reason is not null or row_key not in (select repeated_keys.row_key from repeated_keys)
)
{%- endmacro %}


{#- What the reason of a row that repeats a key ends with; such a row can be read. -#}
{% macro repeated_with_other_values() %}: repeated with other values{% endmacro %}


{#-
  Stops the build where not one row of a raw table can be used: it has another format than declared. Says what was seen, and how to
  mend it; a post-hook of every base model.
-#}
{% macro stop_if_nothing_is_staged() %}
    {%- set counted = run_query("select count(*), count(case when row_status = 'staged' then 1 end) from " ~ this).rows[0] if execute else [0, 0] -%}
    {%- if counted[0] > 0 and counted[1] == 0 -%}
        {%- set problems = [] -%}
        {%- for row in run_query("select reject_reason, count(*) from " ~ this ~ " group by reject_reason order by count(*) desc, reject_reason").rows -%}
            {%- do problems.append(model.name ~ ", " ~ row[1] ~ " of " ~ counted[0] ~ " rows: " ~ row[0]) -%}
        {%- endfor -%}
        {{ stop_with(problems) }}
    {%- endif -%}
{% endmacro %}


{#- Which rows come from exports whose noes without a date say nothing (`undated_no: silence`), as SQL; none if all of them mean it. -#}
{% macro may_be_silent(source_name, has_instance) %}
    {%- set own = [] -%}
    {%- for name in (instances_with_settings(source_name) if has_instance else []) -%}
        {%- if source_settings(source_name, name).undated_no -%}{%- do own.append(sql_text(name)) -%}{%- endif -%}
    {%- endfor -%}
    {%- if source_settings(source_name).undated_no -%}{{ return('1 = 1') }}{%- endif -%}
    {{ return("raw_instance in (" ~ own | join(', ') ~ ")" if own else none) }}
{% endmacro %}


{#- The raw tables in which somebody may say no (`says_no` in the source YAML: the channel, or all). -#}
{% macro tables_that_say_no() %}
    {{ return(raw_tables() | selectattr('config.meta.says_no') | selectattr('source_name', 'in', active_sources()) | list if execute else []) }}
{% endmacro %}


{#- A row of rejected_rows that is of this raw table and may say no; one that repeats a key can be read, and says whether it does. -#}
{% macro may_say_no(table) %}
    {%- set conditions = ["reason not like '%" ~ repeated_with_other_values() ~ "'"] -%}
    {%- set noes = table.columns.values() | selectattr('config.meta.says_no') | map(attribute='name') | list -%}
    {%- for name in noes -%}{%- do conditions.append("raw_row not like '%\"" ~ name ~ "\":null%'") -%}{%- endfor -%}
    {{ return("source = '" ~ table.source_name ~ "' and table_name = '" ~ table.name ~ "'"
        ~ (" and (" ~ conditions | join(' or ') ~ ")" if noes else '')) }}
{% endmacro %}
