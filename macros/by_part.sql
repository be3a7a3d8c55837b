{#-
  A table of what grows with time and not with customers, such as events: only parts (files) that are new, changed or gone since
  the last build are read again. The model's SQL is that of the whole; here it reads its one input restricted to some parts.

    a raw table     model of typed_rows(by_part=true): parts are files, a version is of size, time of change and how a file is
                    read (scripts/raw_reader, <raw_import>.parts); versions of a row that come in several parts are ranked again
    an aggregate    config parts_of: the model of typed_rows below its one ref(); rows have the column `part`, and those without
                    one (of adapters whose tables are not kept by part) are made anew

  Beside the table, <table>__parts has what was read: part, version, content (the run that last wrote its rows) and definition.
  Another definition, which is the compiled SQL (so every macro and variable in it) and the version of DuckDB, makes all anew,
  as --full-refresh does. All of it is one transaction, so whatever ends a run, rows and parts fit together.
-#}
{% materialization by_part, adapter='duckdb' %}
    {%- set target, existing = this.incorporate(type='table'), load_cached_relation(this) -%}
    {%- set parts = this.incorporate(path={'identifier': this.identifier ~ '__parts'}, type='table') -%}
    {%- set input = input_by_part() -%}
    {%- set definition = local_md5(sql ~ run_query('select version()').rows[0][0]) -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- set wanted, had = {}, {} -%}
    {%- for row in (run_query(input.parts).rows if input.parts else []) -%}{%- do wanted.update({row[0]: row[1]}) -%}{%- endfor -%}
    {%- if existing and existing.is_table and load_cached_relation(parts) and not should_full_refresh() -%}
        {%- for row in run_query("select part, version from " ~ parts ~ " where definition = '" ~ definition ~ "'").rows -%}
            {%- do had.update({row[0]: row[1]}) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- set fresh, gone = [], [] -%}
    {%- for part in wanted if had.get(part) != wanted[part] -%}{%- do fresh.append(part) -%}{%- endfor -%}
    {%- for part in had if wanted.get(part) != had[part] -%}{%- do gone.append(part) -%}{%- endfor -%}

    {% call statement('main') -%}
        {%- if had | length > gone | length -%}
            {{ replace_parts(input, fresh, gone, parts) }}
            {{ 'insert into ' ~ parts ~ parts_read(wanted, fresh, definition) if fresh }}
        {%- else -%}
            {%- if existing and not existing.is_table -%}{%- do adapter.drop_relation(existing) -%}{%- endif -%}
            create or replace table {{ target }} as {{ sql }};
            create or replace table {{ parts }} as {{ parts_read(wanted, wanted.keys(), definition) }};
        {%- endif -%}
    {%- endcall %}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do persist_docs(target, model) %}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}


{#- Another engine builds the whole. -#}
{% materialization by_part, adapter='spark' %}
    {{ return(materialization_table_spark()) }}
{% endmaterialization %}


{#- {relation: what the model reads, part: its column with the part, parts: SQL of (part, version), none if it has no parts, raw: its raw table}. -#}
{% macro input_by_part() %}
    {%- if config.get('parts_of') -%}
        {%- set base = graph.nodes.values() | selectattr('name', 'equalto', config.get('parts_of')) | selectattr('config.enabled') | first -%}
        {%- set kept = base.relation_name[:-1] ~ '__parts"' if base -%}
        {{ return({'relation': ref(model.refs[0].name) | string, 'part': 'part', 'parts': 'select part, content from ' ~ kept if kept, 'raw': none}) }}
    {%- endif -%}
    {%- set raw = source(*model.sources[0]) -%}
    {%- set parts = "select part, version from " ~ raw.incorporate(path={'identifier': 'parts'}) ~ " where relation = " ~ sql_text(raw.identifier) -%}
    {{ return({'relation': raw | string, 'part': 'raw_file', 'parts': parts, 'raw': raw}) }}
{% endmacro %}


{% macro is_of_parts(column, parts) %}
    {%- set texts = [] -%}{%- for part in parts -%}{%- do texts.append(sql_text(part)) -%}{%- endfor -%}
    {#- not IN: of many files, DuckDB would open all of them -#}
    {{ return("list_contains([" ~ texts | join(', ') ~ "]::varchar[], " ~ column ~ ")") }}
{% endmacro %}


{#- SELECT of the parts as they were just read. -#}
{% macro parts_read(wanted, read, definition) %}
    {%- set keys, versions = [], [] -%}
    {%- for part in read -%}{%- do keys.append(sql_text(part)) -%}{%- do versions.append(sql_text(wanted[part])) -%}{%- endfor -%}
    select
        unnest([{{ keys | join(', ') }}]::varchar[]) as part,
        unnest([{{ versions | join(', ') }}]::varchar[]) as version,
        '{{ invocation_id }}' as content,
        '{{ definition }}' as definition
{% endmacro %}


{#- Statements that take the parts that are gone out of the table, and put the fresh ones into it. -#}
{% macro replace_parts(input, fresh, gone, parts) %}
    {%- set name = this.identifier -%}
    {%- set is_gone, is_fresh = is_of_parts('part', gone), is_of_parts(input.part, fresh) -%}
    {%- set has_none = ' or part is null' if not input.raw else '' -%}
    create or replace temp view {{ name }}__input as select * from {{ input.relation }} where {{ is_fresh ~ has_none }};
    create or replace temp table {{ name }}__fresh as {{ sql | replace(input.relation, name ~ '__input') }};
    {{ rank_again(input.raw, name, is_gone, parts) if input.raw }}
    delete from {{ this }} where {{ is_gone ~ has_none }};
    insert into {{ this }} by name from {{ name }}__fresh;
    delete from {{ parts }} where {{ is_gone }};
    drop view {{ name }}__input;
    drop table {{ name }}__fresh;
{% endmacro %}


{#- Statements that take versions of a row that come in fresh or gone parts and in others out of both, and put them ranked into the fresh rows. -#}
{% macro rank_again(raw, name, is_gone, parts) %}
    {%- set meta = (raw_tables() | selectattr('identifier', 'equalto', raw.identifier) | first).config.meta -%}
    {%- set outputs = typed_columns(raw) -%}
    {%- set kept = outputs + ['part'] -%}
    {%- set is_version = "(row_status != 'rejected' or reject_reason like '%" ~ repeated_with_other_values() ~ "')" -%}
    {%- set is_again = is_version ~ ' and row_key in (select row_key from ' ~ name ~ '__again)' -%}
    create or replace temp table {{ name }}__again as
        select distinct row_key
        from {{ this }}
        where not {{ is_gone }} and {{ is_version }} and row_key in (
            select row_key from {{ name }}__fresh where {{ is_version }}
            union all
            select row_key from {{ this }} where {{ is_gone }} and {{ is_version }}
        );
    create or replace temp table {{ name }}__versions as
        select * from {{ this }} where not {{ is_gone }} and {{ is_again }}
        union all by name
        select * from {{ name }}__fresh where {{ is_again }};
    update {{ parts }} set content = '{{ invocation_id }}' where part in (select part from {{ name }}__versions);
    delete from {{ this }} where {{ is_again }};
    delete from {{ name }}__fresh where {{ is_again }};
    insert into {{ name }}__fresh by name
        with keyed as (
            select {{ kept | join(', ') }}, row_remark, row_key, null::varchar as reject_reason, null::varchar as raw_row
            from {{ name }}__versions
        ),
        {{ version_statuses(kept, outputs, meta) }}
        select * from statuses;
    drop table {{ name }}__again;
    drop table {{ name }}__versions;
{% endmacro %}
