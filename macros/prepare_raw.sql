{#-
  Makes the schema `raw`: one relation per table that the source YAML declares, found below LIFECYCLE_RAW.

  Parquet becomes a view. CSV is imported once, as text and without loss: lines that do not fit the header go to
  `raw.unreadable_lines`. What is optional and absent becomes a typed, empty view, so models use plain source().
  All problems are collected first; then nothing has been touched and one error names every one of them.
-#}
{% macro prepare_raw() %}
    {%- if execute -%}
        {%- set problems = variable_problems() -%}
        {%- set folder = raw_folder() -%}
        {%- if problems -%}{{ stop_with(problems) }}{%- endif -%}

        {%- set files = {} -%}
        {%- for row in run_query("select file from glob('" ~ folder ~ "/*') union all select file from glob('" ~ folder ~ "/*/*')").rows -%}
            {%- do files.update({row[0] | replace('\\', '/'): true}) -%}
        {%- endfor -%}
        {%- if not files -%}
            {{ stop_with(["no raw data in '" ~ folder ~ "' (LIFECYCLE_RAW); `make demo` makes a demo, README 'Your own data' says what goes there"]) }}
        {%- endif -%}

        {%- set statements = [] -%}
        {%- for table in raw_tables() -%}
            {%- do statements.append(raw_relation(table, folder, files, problems)) -%}
        {%- endfor -%}
        {%- for table in state_tables() -%}
            {%- do statements.append(state_relation(table)) -%}
        {%- endfor -%}
        {%- do problems.extend(audience_problems()) -%}
        {%- if problems -%}{{ stop_with(problems) }}{%- endif -%}

        {%- do run_query("drop schema if exists raw cascade") -%}
        {%- do run_query("create schema raw") -%}
        {%- do run_query("create table raw.unreadable_lines (source varchar, table_name varchar, line_number bigint, reason varchar, raw_line varchar)") -%}
        {%- for statement in statements -%}
            {%- for part in statement -%}{%- do run_query(part) -%}{%- endfor -%}
        {%- endfor -%}
        {{ stop_if_required_tables_are_empty() }}
        {{ start_invocation() }}
    {%- endif -%}
{% endmacro %}


{#- The declared raw tables, in a stable order. -#}
{% macro raw_tables() %}
    {{ return(graph.sources.values() | selectattr('schema', 'equalto', 'raw') | selectattr('config.meta.path') | sort(attribute='unique_id') | list) }}
{% endmacro %}


{% macro state_tables() %}
    {{ return(graph.sources.values() | selectattr('source_name', 'equalto', 'state') | sort(attribute='unique_id') | list) }}
{% endmacro %}


{% macro raw_folder() %}{{ return(absolute_folder(env_var('LIFECYCLE_RAW', 'data/demo'))) }}{% endmacro %}

{#- LIFECYCLE_STATE; the demo has a state of its own, so that it never mixes with a real one. -#}
{% macro state_folder() %}
    {%- set is_demo = env_var('LIFECYCLE_RAW', 'data/demo') == 'data/demo' -%}
    {{ return(absolute_folder(env_var('LIFECYCLE_STATE', 'data/demo_state' if is_demo else 'state'))) }}
{% endmacro %}

{#- As an absolute path: views outlive the working directory that they were made in. -#}
{% macro absolute_folder(name) %}
    {%- set folder = name | replace('\\', '/') -%}
    {%- set is_absolute = folder.startswith('/') or folder[1:2] == ':' -%}
    {{ return((folder if is_absolute else invocation_args_dict.project_dir ~ '/' ~ folder).rstrip('/')) }}
{% endmacro %}


{#- The statements that make one raw relation; problems found on the way are appended to `problems`. -#}
{% macro raw_relation(table, folder, files, problems) %}
    {%- set relation = 'raw.' ~ table.identifier -%}
    {%- set path = folder ~ '/' ~ table.config.meta.path -%}
    {%- set found = [] -%}
    {%- if table.source_name in active_sources() -%}
        {%- for ending in ['.parquet', '.csv', '.csv.gz'] -%}
            {%- if path ~ ending in files -%}{%- do found.append(path ~ ending) -%}{%- endif -%}
        {%- endfor -%}
        {%- if found | length > 1 -%}
            {%- do problems.append("two files for one table: " ~ found | join(' and ') ~ "; keep one") -%}
        {%- elif not found and table.config.meta.required -%}
            {%- do problems.append("source '" ~ table.source_name ~ "' needs " ~ path ~ ".parquet, .csv or .csv.gz; it is not there") -%}
        {%- endif -%}
    {%- endif -%}

    {%- if found | length != 1 -%}
        {%- set columns = [] -%}
        {%- for column in table.columns.values() -%}
            {%- do columns.append("cast(null as " ~ column.data_type ~ ") as " ~ column.name) -%}
        {%- endfor -%}
        {{ return(["create view " ~ relation ~ " as select " ~ columns | join(', ') ~ " where false"]) }}
    {%- endif -%}

    {%- set file = found[0] -%}
    {%- set is_csv = not file.endswith('.parquet') -%}
    {%- set reader = csv_reader(file, table, problems) if is_csv else "read_parquet(" ~ sql_text(file) ~ ")" -%}
    {%- if not reader -%}{{ return([]) }}{%- endif -%}
    {%- set present = {} -%}
    {%- for row in run_query("describe select * from " ~ reader).rows -%}
        {%- do present.update({row[0] | lower: {'name': row[0], 'type': row[1]}}) -%}
    {%- endfor -%}

    {%- set columns = [] -%}
    {%- for column in table.columns.values() -%}
        {%- set spellings = [] -%}
        {%- for spelling in [column.name] + column.config.meta.get('aliases', []) -%}
            {%- if spelling | lower in present -%}{%- do spellings.append(present[spelling | lower]) -%}{%- endif -%}
        {%- endfor -%}
        {%- if spellings -%}
            {%- set quoted = adapter.quote(spellings[0].name) -%}
            {%- do columns.append((text_or_null(quoted) if spellings[0].type == 'VARCHAR' else quoted) ~ " as " ~ column.name) -%}
        {%- elif column.config.meta.required -%}
            {%- set names = present.values() | map(attribute='name') | join(', ') -%}
            {%- do problems.append(file ~ ": required column '" ~ column.name ~ "' is missing; found: " ~ names) -%}
        {%- else -%}
            {%- do columns.append("cast(null as " ~ column.data_type ~ ") as " ~ column.name) -%}
        {%- endif -%}
    {%- endfor -%}

    {%- set select = "select " ~ columns | join(', ') ~ " from " ~ reader -%}
    {%- if not is_csv -%}{{ return(["create view " ~ relation ~ " as " ~ select]) }}{%- endif -%}
    {{ return([
        "drop table if exists reject_errors", "drop table if exists reject_scans",
        "create table " ~ relation ~ " as " ~ select,
        "insert into raw.unreadable_lines select distinct on (line) " ~ sql_text(table.source_name) ~ ", " ~ sql_text(table.name)
            ~ ", line, 'line: ' || lower(cast(error_type as varchar)), csv_line from reject_errors order by line, error_type",
    ]) }}
{% endmacro %}


{#- The statement that makes one relation of the state: all Parquet files of its folder, or a typed, empty view. -#}
{% macro state_relation(table) %}
    {%- set files = sql_text(state_folder() ~ '/' ~ table.config.meta.folder ~ '/*.parquet') -%}
    {%- set reader, present = "read_parquet(" ~ files ~ ", union_by_name = true)", [] -%}
    {%- if run_query("select count(*) from glob(" ~ files ~ ")").rows[0][0] > 0 -%}
        {%- for row in run_query("describe select * from " ~ reader).rows -%}{%- do present.append(row[0]) -%}{%- endfor -%}
    {%- endif -%}
    {%- set columns = [] -%}
    {%- for column in table.columns.values() -%}
        {%- do columns.append("cast(" ~ (column.name if column.name in present else 'null') ~ " as " ~ column.data_type ~ ") as " ~ column.name) -%}
    {%- endfor -%}
    {{ return(["create view raw." ~ table.identifier ~ " as select " ~ columns | join(', ') ~ (" from " ~ reader if present else " where false")]) }}
{% endmacro %}


{#-
  A read_csv call that loses nothing: every column text, by the names in the header line. Guessing types or
  delimiters would drop or reject rows silently. A file that is not UTF-8 is read as Latin-1.
-#}
{% macro csv_reader(file, table, problems) %}
    {%- set one_column = "auto_detect=false, header=false, delim='\\x01', quote='', escape='', columns={'line': 'VARCHAR'}" -%}
    {%- set head = run_query("select line from read_csv(" ~ sql_text(file) ~ ", " ~ one_column ~ ", store_rejects=true, encoding='latin-1') limit 1").rows -%}
    {%- if not head or not head[0][0] -%}
        {%- do problems.append(file ~ ": the file is empty; it needs a header line with the columns of README 'Your own data'") -%}
        {{ return('') }}
    {%- endif -%}
    {#- the byte order mark of UTF-8, read as Latin-1 -#}
    {%- set header = head[0][0] | replace('\u00ef\u00bb\u00bf', '') | trim -%}
    {%- set best = namespace(delim=',', columns=0) -%}
    {%- for delim in [',', ';', '\t', '|'] -%}
        {%- if header.split(delim) | length > best.columns -%}
            {%- set best.delim = delim -%}
            {%- set best.columns = header.split(delim) | length -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set columns, values = [], [] -%}
    {%- for name in header.split(best.delim) -%}
        {%- do columns.append(sql_text(name | trim | trim('"')) ~ ": 'VARCHAR'") -%}
        {%- do values.append('count(' ~ adapter.quote(name | trim | trim('"')) ~ ')') -%}
    {%- endfor -%}
    {%- set options = "auto_detect=false, header=true, delim=" ~ sql_text(best.delim) ~ ", quote='\"', escape='\"', columns={" ~ columns | join(', ') ~ "}, store_rejects=true" -%}
    {%- set utf8 = "read_csv(" ~ sql_text(file) ~ ", " ~ options ~ ")" -%}
    {%- do run_query("drop table if exists reject_errors") -%}
    {%- do run_query("drop table if exists reject_scans") -%}
    {%- do run_query("select " ~ values | join(', ') ~ " from " ~ utf8) -%}
    {%- set not_utf8 = run_query("select count(*) from reject_errors where error_type = 'INVALID ENCODING'").rows[0][0] > 0 -%}
    {{ return(utf8 | replace('store_rejects=true', "store_rejects=true, encoding='latin-1'") if not_utf8 else utf8) }}
{% endmacro %}


{#- A one-file source whose file has a header and no rows is a failed upstream export, not a shop without orders. -#}
{% macro stop_if_required_tables_are_empty() %}
    {%- for table in raw_tables() if table.source_name in active_sources() and table.config.meta.not_empty -%}
        {%- if run_query("select count(*) from (select 1 from raw." ~ table.identifier ~ " limit 1)").rows[0][0] == 0 -%}
            {{ stop_with([raw_folder() ~ '/' ~ table.config.meta.path ~ ": the file has no rows; was its export interrupted?"]) }}
        {%- endif -%}
    {%- endfor -%}
{% endmacro %}


{% macro text_or_null(column) %}{{ return("nullif(trim(" ~ column ~ "), '')") }}{% endmacro %}

{% macro sql_text(value) %}{{ return("'" ~ value | replace("'", "''") ~ "'") }}{% endmacro %}

{% macro stop_with(problems) %}
    {{ exceptions.raise_compiler_error(problems | join('\n  ')) }}
{% endmacro %}
