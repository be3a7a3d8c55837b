{#-
  Raw data on Spark. Files are found, checked and read by DuckDB's import whatever the engine: scripts/spark_build.py runs
  write_raw_import there, which writes each relation of `raw_import` as Parquet, and dbt on Spark makes views of them.
-#}
{% macro write_raw_import(folder) %}
    {{ prepare_raw() }}
    {%- for source in imported_tables() -%}
        {%- set relation, columns = source.schema ~ '.' ~ source.identifier, [] -%}
        {%- for row in run_query("describe " ~ relation).rows -%}
            {%- do columns.append('"' ~ row[0] ~ '"' if row[1] not in parquet_types() else 'cast("' ~ row[0] ~ '" as ' ~ parquet_types()[row[1]] ~ ') as "' ~ row[0] ~ '"') -%}
        {%- endfor -%}
        {%- do run_query("copy (select " ~ columns | join(', ') ~ " from " ~ relation ~ ") to " ~ sql_text(folder ~ '/' ~ source.identifier ~ '.parquet') ~ " (format parquet)") -%}
    {%- endfor -%}
    {%- do run_query("copy (select " ~ sql_text(import_request()) ~ " as request) to " ~ sql_text(folder ~ '/imported/request.parquet') ~ " (format parquet)") -%}
{% endmacro %}

{#- What Spark does not read from Parquet, or not exactly. -#}
{% macro parquet_types() %}
    {{ return({'TIMESTAMP_NS': 'timestamp', 'TIMESTAMP_MS': 'timestamp', 'TIMESTAMP_S': 'timestamp', 'HUGEINT': 'decimal(38, 0)', 'UBIGINT': 'decimal(20, 0)'}) }}
{% endmacro %}

{#-
  Write the tables of schemas of Spark's catalogue as Parquet, for the import to read: <folder>/<schema>/<table>. A schema that
  is not there is left out, and the import says so.
-#}
{% macro write_catalogue(folder, schemas) %}
    {%- do run_query("set spark.sql.parquet.outputTimestampType=TIMESTAMP_MICROS") -%} {#- the default form does not tell instants from wall clocks -#}
    {%- for schema in schemas -%}
        {%- set catalogue, _, name = schema.rpartition('.') -%}
        {%- set there = run_query("show schemas" ~ (" in " ~ catalogue if catalogue else '') ~ " like " ~ spark_text(name)).rows -%}
        {%- for table in (run_query("show tables in " ~ schema).rows if there else []) if not table[2] -%}
            {%- do run_query("insert overwrite directory " ~ spark_text(folder ~ '/' ~ schema ~ '/' ~ table[1]) ~ " using parquet select * from " ~ schema ~ ".`" ~ table[1] ~ "`") -%}
        {%- endfor -%}
    {%- endfor -%}
{% endmacro %}

{#- Every relation of the schema raw_import, the state's and the import's own, too. -#}
{% macro imported_tables() %}
    {{ return(graph.sources.values() | selectattr('schema', 'equalto', raw_schema()) | sort(attribute='unique_id') | list) }}
{% endmacro %}

{#- What an import depends on, to tell whether one is of these variables and folders. -#}
{% macro import_request() %}
    {{ return(local_md5(tojson([active_sources(), var('raw_databases'), raw_folder(), state_folder(), key_file(), links_to_shops(), raw_schema()]))) }}
{% endmacro %}

{#- Where Spark's tables are, and the imported raw data: LIFECYCLE_SPARK. -#}
{% macro spark_folder() %}{{ return(absolute_folder(env_var('LIFECYCLE_SPARK', 'warehouse/spark'))) }}{% endmacro %}


{% macro spark__prepare_raw() %}
    {%- if execute and flags.WHICH in ['build', 'run', 'seed', 'test', 'run-operation'] -%}
        {%- set problems = variable_problems() -%}
        {%- if problems -%}{{ stop_with(problems) }}{%- endif -%}
        {%- do problems.extend(audience_problems() + package_problems()) -%}
        {%- set folder = spark_folder() ~ '/raw' -%}
        {%- do run_query("create schema if not exists " ~ raw_schema()) -%}
        {#- a table of files that are not there is empty -#}
        {%- do run_query("drop table if exists " ~ raw_schema() ~ ".imported") -%}
        {%- do run_query("create table " ~ raw_schema() ~ ".imported (request string) using parquet location '" ~ folder ~ "/imported'") -%}
        {%- set requests = run_query("select request from " ~ raw_schema() ~ ".imported").columns[0].values() | list -%}
        {%- if requests != [import_request()] -%}
            {%- do problems.append(("no raw data were imported to " ~ folder if not requests else "the raw data in " ~ folder ~ " were imported with other variables or folders")
                ~ "; Spark reads Parquet that DuckDB's import has checked and written, so run scripts/spark_build.py, which does both") -%}
        {%- endif -%}
        {%- if problems -%}{{ stop_with(problems) }}{%- endif -%}
        {%- for source in imported_tables() -%}
            {%- do run_query("create or replace view " ~ source.schema ~ "." ~ source.identifier ~ " as select * from parquet.`" ~ folder ~ "/" ~ source.identifier ~ ".parquet`") -%}
        {%- endfor -%}
        {{ start_invocation_on_spark() }}
    {%- endif -%}
{% endmacro %}


{#- Files are only added: an invocation is green if a second row says so. -#}
{% macro start_invocation_on_spark() %}
    {%- do run_query("create schema if not exists audit") -%}
    {%- do run_query("create table if not exists audit.invocations (invocation_id string, command string, started_at timestamp_ntz, is_green boolean, is_whole boolean, marts_schema string) "
        ~ "using parquet location '" ~ spark_folder() ~ "/audit/invocations'") -%}
    {%- if flags.WHICH in ['build', 'run', 'seed', 'test'] -%}{%- do run_query("insert into audit.invocations " ~ invocation_row('null')) -%}{%- endif -%}
{% endmacro %}

{% macro spark__record_invocation(green) %}
    {{ describe_marts() }}
    insert into audit.invocations {{ invocation_row(green) }}
{% endmacro %}

{#- What is a mart, and what it and its columns mean: Parquet files do not say, and scripts/publish.py does. -#}
{% macro describe_marts() %}
    {%- set rows = [] -%}
    {%- for mart in own_nodes() if mart.resource_type == 'model' and mart.config.materialized == 'table' and mart.config.persist_docs.relation -%}
        {%- set name = spark_text(mart.schema) ~ ', ' ~ spark_text(mart.alias) ~ ', ' -%}
        {%- do rows.append('(' ~ name ~ 'null, ' ~ spark_text(mart.description) ~ ')') -%}
        {%- for column in mart.columns.values() -%}{%- do rows.append('(' ~ name ~ spark_text(column.name) ~ ', ' ~ spark_text(column.description) ~ ')') -%}{%- endfor -%}
    {%- endfor -%}
    {%- do run_query("create table if not exists audit.marts (marts_schema string, mart string, column_name string, description string) using parquet location '"
        ~ spark_folder() ~ "/audit/marts'") -%}
    {%- do run_query("insert overwrite table audit.marts values " ~ rows | join(', ')) -%}
{% endmacro %}


{#- A value as a literal: Spark reads backslashes itself. -#}
{% macro spark_text(value) %}
    {{ return('null' if value is none else "'" ~ value | string | replace('\\', '\\\\') | replace("'", "\\'") ~ "'") }}
{% endmacro %}


{#- dbt-spark's session method pastes values between quotes: an apostrophe breaks the statement, and a null becomes 'None'. -#}
{% macro spark__load_csv_rows(model, agate_table) %}
    {%- set types, rows = model['config'].get('column_types', {}), [] -%}
    {%- for row in agate_table.rows -%}
        {%- set cells = [] -%}
        {%- for name in agate_table.column_names -%}
            {%- do cells.append("cast(" ~ spark_text(row[name]) ~ " as " ~ types.get(name, adapter.convert_type(agate_table, loop.index0)) ~ ")") -%}
        {%- endfor -%}
        {%- do rows.append("(" ~ cells | join(', ') ~ ")") -%}
    {%- endfor -%}
    {%- set sql = "insert into " ~ this.render() ~ " values " ~ rows | join(', ') -%}
    {%- if rows -%}{%- do adapter.add_query(sql, abridge_sql_log=True) -%}{%- endif -%}
    {{ return(sql) }}
{% endmacro %}
