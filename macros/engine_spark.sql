{#- Bodies of engine.sql for Spark and Databricks (`dbt-databricks` falls back to `spark__`). -#}

{#- raw literals: in a plain one Spark reads backslashes itself -#}
{% macro spark__matches(text, pattern) %}{{ return("(" ~ text ~ " rlike r'" ~ pattern ~ "')") }}{% endmacro %}

{% macro spark__replace_matches(text, pattern, by) %}
    {{ return("regexp_replace(" ~ text ~ ", r'" ~ pattern ~ "', '" ~ by ~ "')") }}
{% endmacro %}

{% macro spark__instant_text(instant) %}{{ return("(cast(" ~ instant ~ " as string) || '+00')") }}{% endmacro %}

{% macro spark__json_row(names, prefix) %}
    {%- set pairs = [] -%}
    {%- for name in names -%}{%- do pairs.append("'" ~ name ~ "', " ~ prefix ~ name) -%}{%- endfor -%}
    {{ return("to_json(named_struct(" ~ pairs | join(', ') ~ "), map('ignoreNullFields', 'false', 'timestampFormat', 'yyyy-MM-dd HH:mm:ssx', 'timestampNTZFormat', 'yyyy-MM-dd HH:mm:ss'))") }}
{% endmacro %}

{#- Spark has no normal forms of Unicode: a letter and its accent stay two where they are written so -#}
{% macro spark__composed(text) %}{{ return(text) }}{% endmacro %}

{% macro spark__latin_digits(text) %}
    {{ return("translate(" ~ text ~ ", '０１２３４５６７８９٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹०१२३४५६७८९', '0123456789012345678901234567890123456789')") }}
{% endmacro %}

{% macro spark__lines_of(text) %}{{ return("array_join(collect_list(" ~ text ~ "), char(10))") }}{% endmacro %}

{% macro spark__each_matching_line(text, expression) %}
    {{ return("explode(regexp_extract_all(" ~ text ~ ", concat('(?m)^(?:', " ~ expression ~ ", ')$'), 0))") }}
{% endmacro %}

{#- Java names groups by a dollar -#}
{% macro spark__replace_in_lines(text, expression, replacement) %}
    {{ return("regexp_replace(" ~ text ~ ", concat('(?m)', " ~ expression ~ "), translate(" ~ replacement ~ ", char(92), '$'))") }}
{% endmacro %}

{% macro spark__each_line(names, first, second, third) %}
    {%- set lists = [] -%}
    {%- for text in [first, second, third] -%}{%- do lists.append("split(" ~ text ~ ", char(10), -1)") -%}{%- endfor -%}
    {{ return("inline(arrays_zip(" ~ lists | join(', ') ~ ")) as (" ~ names | join(', ') ~ ")") }}
{% endmacro %}

{#- Java's own, of an older standard: it writes ss for ß -#}
{% macro spark__ascii_domain(domain) %}{{ return("coalesce(try_reflect('java.net.IDN', 'toASCII', " ~ domain ~ "), " ~ domain ~ ")") }}{% endmacro %}

{% macro spark__sha256(text) %}{{ return("sha2(" ~ text ~ ", 256)") }}{% endmacro %}

{#- the key is read around the lambda: Spark allows no query in one -#}
{% macro spark__keyed_hash(text) %}
    {%- set digits = replace_matches('value', '[^0-9A-Fa-f]', '') -%}
    {%- set key = "rpad(case when length(" ~ digits ~ ") > 128 then sha2(unhex(" ~ digits ~ "), 256) else " ~ digits ~ " end, 128, '0')" -%}
    {%- set pads = {} -%}
    {%- for name, byte in [('inner', 54), ('outer', 92)] -%}
        {%- do pads.update({name: "(select unhex(array_join(transform(sequence(1, 127, 2), place -> lpad(hex(cast(conv(substr(" ~ key ~ ", place, 2), 16, 10) as bigint) ^ "
            ~ byte ~ "), 2, '0')), '')) from text.`" ~ key_file() ~ "`)"}) -%}
    {%- endfor -%}
    {{ return("sha2(concat(" ~ pads.outer ~ ", unhex(sha2(concat(" ~ pads.inner ~ ", encode(" ~ text ~ ", 'UTF-8')), 256))), 256)") }}
{% endmacro %}

{% macro spark__hash_share(text) %}
    {{ return("(cast(conv(substr(md5(" ~ text ~ "), 1, 8), 16, 10) as double) / cast(4294967296 as double))") }}
{% endmacro %}

{#- wall clocks are timestamp_ntz (profile: spark.sql.timestampType), instants timestamp_ltz; the session is in UTC -#}
{% macro spark__instant_to_wall_clock(instant, zone) %}
    {{ return("convert_timezone('UTC', '" ~ zone ~ "', cast(" ~ instant ~ " as timestamp_ntz))") }}
{% endmacro %}

{#- in the hour that autumn repeats the later time, as on DuckDB; Java takes the earlier one -#}
{% macro spark__change_zone(timestamp, zone, target) %}
    {%- set to_utc = "convert_timezone('" ~ zone ~ "', 'UTC', " -%}
    {%- set later = "greatest(" ~ to_utc ~ timestamp ~ "), " ~ to_utc ~ timestamp ~ " + interval 1 hour) - interval 1 hour)" -%}
    {%- set utc = timestamp if zone == 'UTC' else later -%}
    {{ return(utc if target == 'UTC' else "convert_timezone('UTC', '" ~ target ~ "', " ~ utc ~ ")") }}
{% endmacro %}

{% macro spark__change_zone_by(timestamp, zone, target) %}
    {{ return("convert_timezone('UTC', " ~ target ~ ", " ~ change_zone(timestamp, zone, 'UTC') ~ ")") }}
{% endmacro %}

{% macro spark__parse_timestamp(text) %}{{ return("try_cast(" ~ text ~ " as timestamp_ntz)") }}{% endmacro %}

{% macro spark__parse_formatted(text, formats) %}
    {%- set tries = [] -%}
    {%- for format in formats -%}
        {%- do tries.append("cast(try_to_timestamp(" ~ text ~ ", '" ~ spark_format(format) ~ "') as timestamp_ntz)") -%}
    {%- endfor -%}
    {{ return("coalesce(" ~ tries | join(', ') ~ ")") }}
{% endmacro %}

{% macro spark__utc_of_micros(micros) %}{{ return("cast(timestamp_micros(" ~ micros ~ ") as timestamp_ntz)") }}{% endmacro %}

{#- strptime's letters in Java's -#}
{% macro spark_format(format) %}
    {%- set pattern = namespace(text=format) -%}
    {%- for letter, java in {'%Y%m%d': 'yyyyMMdd', '%Y': 'yyyy', '%m': 'M', '%d': 'd', '%H': 'H', '%I': 'h', '%M': 'm', '%S': 's', '%b': 'MMM', '%p': 'a'}.items() -%}
        {%- set pattern.text = pattern.text | replace(letter, java) -%}
    {%- endfor -%}
    {{ return(pattern.text) }}
{% endmacro %}

{% macro spark__parse_instant(text) %}{{ return("try_cast(" ~ text ~ " as timestamp_ltz)") }}{% endmacro %}

{% macro spark__calendar(first, last, grain) %}
    {{ return("explode(sequence(cast(" ~ first ~ " as date), cast(" ~ last ~ " as date), interval 1 " ~ grain ~ ")) as period_start") }}
{% endmacro %}

{% macro spark__numbers(first, last) %}
    {{ return("explode(case when " ~ first ~ " <= " ~ last ~ " then sequence(cast(" ~ first ~ " as int), cast(" ~ last ~ " as int)) else array() end) as number") }}
{% endmacro %}

{% macro spark__as_materialized() %}{{ return('as') }}{% endmacro %}

{% macro spark__each_match(text, pattern) %}{{ return("explode(regexp_extract_all(" ~ text ~ ", r'" ~ pattern ~ "', 0))") }}{% endmacro %}

{% macro spark__add_days(date, days) %}{{ return("date_add(" ~ date ~ ", cast(" ~ days ~ " as integer))") }}{% endmacro %}

{% macro spark__days_between(first, last) %}{{ return("cast(datediff(" ~ last ~ ", " ~ first ~ ") as bigint)") }}{% endmacro %}

{#-
  Labels run along the edges until none changes, one table after the other: Spark would calculate a common table expression again
  wherever it is read. The text of a unit test or of `dbt compile` makes no tables; it has rounds for its few rows.
-#}
{% macro spark__connected_components(edges) %}
    {%- set from_edges = "from " ~ edges ~ " as edges" -%}
    {%- if flags.WHICH not in ['build', 'run'] or model.resource_type != 'model' or not execute -%}
        {%- set labels = namespace(sql="select edges.node, min(edges.node) as component " ~ from_edges ~ " group by edges.node") -%}
        {%- for round in range(6) -%}{%- set labels.sql = spread_labels("(" ~ labels.sql ~ ")", from_edges) -%}{%- endfor -%}
        {{ return(labels.sql) }}
    {%- endif -%}
    {%- set names = [this ~ '__labels', this ~ '__new_labels'] -%}
    {%- do make_spark_table(names[0], "select distinct edges.node, edges.node as component " ~ from_edges) -%}
    {%- set changed = namespace(rows=1) -%}
    {%- for round in range(1000) if changed.rows -%}
        {%- set labels, fresh = names[loop.index0 % 2], names[loop.index % 2] -%}
        {%- do make_spark_table(fresh, spread_labels(labels, from_edges)) -%}
        {%- set changed.rows = run_query("select count(*) from " ~ labels ~ " as labels inner join " ~ fresh
            ~ " as fresh on labels.node = fresh.node where labels.component != fresh.component").rows[0][0] -%}
    {%- endfor -%}
    {{ return("select node, component from " ~ names[0]) }}
{% endmacro %}

{#- Each node with the smallest label among its own and its neighbours'. -#}
{% macro spread_labels(labels, from_edges) %}
    {{ return("select edges.neighbour as node, min(labels.component) as component from " ~ labels ~ " as labels inner join (select edges.node, edges.neighbour "
        ~ from_edges ~ " union all select edges.node, edges.node as neighbour " ~ from_edges ~ ") as edges on labels.node = edges.node group by edges.neighbour") }}
{% endmacro %}

{% macro make_spark_table(name, select) %}
    {%- do run_query("drop table if exists " ~ name) -%}
    {%- do run_query("create table " ~ name ~ " using parquet as " ~ select) -%}
{% endmacro %}

{% macro spark__physical_type(column) %}
    {%- set names = {'string': 'VARCHAR', 'timestamp': 'TIMESTAMP WITH TIME ZONE', 'timestamp_ntz': 'TIMESTAMP', 'int': 'INTEGER'} -%}
    {{ return(names.get(column.dtype | lower, column.dtype | upper)) }}
{% endmacro %}

{% macro spark__year_before(date) %}{{ return("add_months(" ~ date ~ ", -12)") }}{% endmacro %}

{#- `div` of decimals is exact, and `/` is not -#}
{% macro spark__money_share(amount, part, whole) %}
    {%- set units = [] -%}
    {%- for value in [amount, part, whole] -%}
        {%- do units.append("cast(cast(" ~ value ~ " as decimal(22, 4)) * 10000 as decimal(38, 0))") -%}
    {%- endfor -%}
    {%- set product, divisor = "(" ~ units[0] ~ " * " ~ units[1] ~ ")", "nullif(" ~ units[2] ~ ", 0)" -%}
    {{ return("cast(cast(sign(" ~ product ~ ") * sign(" ~ divisor ~ ") as decimal(1, 0)) * cast((2 * abs(" ~ product ~ ") + abs(" ~ divisor
        ~ ")) div (2 * abs(" ~ divisor ~ ")) as decimal(22, 0)) * cast(0.0001 as decimal(4, 4)) as decimal(18, 4))") }}
{% endmacro %}
