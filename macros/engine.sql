{#- The few places where SQL engines differ. Models call these; each engine adds its own `<adapter>__` body. -#}

{% macro matches(text, pattern) %}{{ return(adapter.dispatch('matches')(text, pattern)) }}{% endmacro %}
{% macro duckdb__matches(text, pattern) %}{{ return("regexp_matches(" ~ text ~ ", '" ~ pattern ~ "')") }}{% endmacro %}

{% macro replace_matches(text, pattern, by) %}{{ return(adapter.dispatch('replace_matches')(text, pattern, by)) }}{% endmacro %}
{% macro duckdb__replace_matches(text, pattern, by) %}
    {{ return("regexp_replace(" ~ text ~ ", '" ~ pattern ~ "', '" ~ by ~ "', 'g')") }}
{% endmacro %}

{#- Without leading and trailing blanks and invisible characters of any kind: tab, no-break and zero-width space, BOM. -#}
{% macro strip(text) %}
    {%- set blank = '[\\p{Z}\\p{Cf}\\p{Cc}]+' -%}
    {{ return("case when " ~ matches(text, '^[!-~]*$') ~ " then " ~ text ~ " else " ~ replace_matches(text, '^' ~ blank ~ '|' ~ blank ~ '$', '') ~ " end") }}
{% endmacro %}

{#- A letter and its accent as one character (Unicode's form NFC). -#}
{% macro composed(text) %}{{ return(adapter.dispatch('composed')(text)) }}{% endmacro %}
{% macro duckdb__composed(text) %}{{ return("nfc_normalize(" ~ text ~ ")") }}{% endmacro %}

{#- The digits of other scripts as 0 to 9. -#}
{% macro latin_digits(text) %}{{ return(adapter.dispatch('latin_digits')(text)) }}{% endmacro %}
{% macro duckdb__latin_digits(text) %}
    {{ return("translate(" ~ text ~ ", '０１２３４５６７８９٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹०१२३४५६७८९', '0123456789012345678901234567890123456789')") }}
{% endmacro %}

{#- The values of a group as the lines of one text, and one row per line that matches a regular expression, which is a column. -#}
{% macro lines_of(text) %}{{ return(adapter.dispatch('lines_of')(text)) }}{% endmacro %}
{% macro duckdb__lines_of(text) %}{{ return("string_agg(" ~ text ~ ", chr(10))") }}{% endmacro %}

{% macro each_matching_line(text, expression) %}{{ return(adapter.dispatch('each_matching_line')(text, expression)) }}{% endmacro %}
{% macro duckdb__each_matching_line(text, expression) %}
    {{ return("unnest(regexp_extract_all(" ~ text ~ ", '(?m)^(?:' || " ~ expression ~ " || ')$'))") }}
{% endmacro %}

{#- The same lines with a match of such an expression in each replaced; `replacement` may name its groups. -#}
{% macro replace_in_lines(text, expression, replacement) %}{{ return(adapter.dispatch('replace_in_lines')(text, expression, replacement)) }}{% endmacro %}
{% macro duckdb__replace_in_lines(text, expression, replacement) %}
    {{ return("regexp_replace(" ~ text ~ ", '(?m)' || " ~ expression ~ ", " ~ replacement ~ ", 'g')") }}
{% endmacro %}

{#- One row per line of three texts that have as many lines each, as columns of these names. -#}
{% macro each_line(names, first, second, third) %}{{ return(adapter.dispatch('each_line')(names, first, second, third)) }}{% endmacro %}
{% macro duckdb__each_line(names, first, second, third) %}
    {%- set columns = [] -%}
    {%- for text in [first, second, third] -%}{%- do columns.append("unnest(string_split(" ~ text ~ ", chr(10))) as " ~ names[loop.index0]) -%}{%- endfor -%}
    {{ return(columns | join(', ')) }}
{% endmacro %}

{#- A domain as the DNS knows it: each label that is not ASCII in punycode. On DuckDB a function of the warehouse. -#}
{% macro ascii_domain(domain) %}{{ return(adapter.dispatch('ascii_domain')(domain)) }}{% endmacro %}
{% macro duckdb__ascii_domain(domain) %}{{ return("main.ascii_domain(" ~ domain ~ ")") }}{% endmacro %}

{#- Makes the functions that models call; at every start, since it costs nothing. -#}
{% macro make_functions() %}
    {%- if execute -%}{%- do run_query("create or replace macro main.ascii_domain(domain) as " ~ punycode_of_labels('domain')) -%}{%- endif -%}
{% endmacro %}
{#-
  RFC 3492: first a label's ASCII characters; the others are inserted one by one, by code point and place, each written as how many
  states were passed since the one before, in a base of 36 whose thresholds (the bias) follow from the number before. One step
  after the other over the list of labels, since DuckDB takes twice as long to read a lambda for each lambda around it.
-#}
{% macro punycode_of_labels(domain) %}
    {%- set threshold = 'greatest(1, least(26, step * 36 - label.bias[n]))' -%}
    {%- set steps = [
        "{'text': label, 'points': list_transform(string_split(label, ''), lambda letter: unicode(letter))}",
        "{'text': label.text, 'points': label.points, 'plain': len(list_filter(label.points, lambda point: point < 128)), 'others': list_sort(list_filter("
            "list_transform(range(1, len(label.points) + 1), lambda place: {'point': label.points[place], 'place': place}), lambda one: one.point > 127))}",
        "{'text': label.text, 'plain': label.plain, 'others': list_transform(label.others, lambda one: {'point': one.point, "
            "'before': len(list_filter(label.points[1:one.place - 1], lambda point: point <= one.point))})}",
        "{'text': label.text, 'plain': label.plain, 'passed': list_transform(range(1, len(label.others) + 1), lambda n: "
            "(label.others[n].point - coalesce(label.others[n - 1].point, 128)) * (label.plain + n) + label.others[n].before "
            "- coalesce(label.others[n - 1].before + 1, 0))}",
        "{'text': label.text, 'plain': label.plain, 'passed': label.passed, 'damped': list_transform(range(1, len(label.passed) + 1), lambda n: "
            "label.passed[n] // case when n = 1 then 700 else 2 end)}",
        "{'text': label.text, 'passed': label.passed, 'reduced': list_transform(range(1, len(label.passed) + 1), lambda n: list_reduce(range(0, 5), "
            "lambda state, step: case when state.rest > 455 then {'rest': state.rest // 35, 'bias': state.bias + 36} else state end, "
            "{'rest': label.damped[n] + label.damped[n] // (label.plain + n), 'bias': 0}))}",
        "{'text': label.text, 'passed': label.passed, 'bias': list_concat([72], list_transform(label.reduced, lambda state: "
            "state.bias + 36 * state.rest // (state.rest + 38)))}",
        "{'text': label.text, 'digits': list_transform(range(1, len(label.passed) + 1), lambda n: list_reduce(range(1, 9), lambda state, step: case "
            "when state.rest < 0 then state when state.rest < " ~ threshold ~ " then {'rest': -1, 'digits': list_append(state.digits, state.rest)} else {'rest': (state.rest - "
            ~ threshold ~ ") // (36 - " ~ threshold ~ "), 'digits': list_append(state.digits, " ~ threshold ~ " + (state.rest - " ~ threshold ~ ") % (36 - " ~ threshold
            ~ "))} end, {'rest': label.passed[n], 'digits': cast([] as bigint[])}).digits)}",
        "case when len(label.digits) = 0 then label.text else 'xn--' || coalesce(nullif(regexp_replace(label.text, '[^\\x00-\\x7F]', '', 'g'), '') || '-', '') "
            "|| array_to_string(list_transform(flatten(label.digits), lambda digit: chr(cast(digit + case when digit < 26 then 97 else 22 end as integer))), '') end",
    ] -%}
    {%- set labels = namespace(sql="string_split(" ~ domain ~ ", '.')") -%}
    {%- for step in steps -%}{%- set labels.sql = "list_transform(" ~ labels.sql ~ ", lambda label: " ~ step ~ ")" -%}{%- endfor -%}
    {{ return("array_to_string(" ~ labels.sql ~ ", '.')") }}
{% endmacro %}

{#- The type of a raw column in DuckDB's words. -#}
{% macro physical_type(column) %}{{ return(adapter.dispatch('physical_type')(column)) }}{% endmacro %}
{% macro duckdb__physical_type(column) %}{{ return('VARCHAR' if column.is_string() else column.dtype | upper) }}{% endmacro %}

{#- A declared type in the words of physical_type. -#}
{% macro type_name(type) %}{{ return('varchar' if type == 'string' else type) }}{% endmacro %}

{#- An instant as text, in UTC. -#}
{% macro instant_text(instant) %}{{ return(adapter.dispatch('instant_text')(instant)) }}{% endmacro %}
{% macro duckdb__instant_text(instant) %}{{ return("cast(" ~ instant ~ " as string)") }}{% endmacro %}

{#-
  The named columns as one text that no other row has, the same on every engine (but for doubles): each value behind its length.
  `types` are the columns' physical types, where they may be instants.
-#}
{% macro row_text(names, prefix='', types={}) %}
    {%- set parts = [] -%}
    {%- for name in names -%}
        {%- set is_instant = types.get(name) == 'TIMESTAMP WITH TIME ZONE' -%}
        {%- set text = instant_text(prefix ~ name) if is_instant else "cast(" ~ prefix ~ name ~ " as string)" -%}
        {%- do parts.append("coalesce(cast(length(" ~ text ~ ") as string) || ':' || " ~ text ~ ", '-')") -%}
    {%- endfor -%}
    {{ return(parts | join(" || ")) }}
{% endmacro %}

{#- A JSON text of the named columns, in their order; `prefix` is what the columns' names begin with. -#}
{% macro json_row(names, prefix='') %}{{ return(adapter.dispatch('json_row')(names, prefix)) }}{% endmacro %}
{% macro duckdb__json_row(names, prefix) %}
    {%- set pairs = [] -%}
    {%- for name in names -%}{%- do pairs.append("'" ~ name ~ "', " ~ prefix ~ name) -%}{%- endfor -%}
    {{ return("cast(json_object(" ~ pairs | join(', ') ~ ") as varchar)") }}
{% endmacro %}

{% macro sha256(text) %}{{ return(adapter.dispatch('sha256')(text)) }}{% endmacro %}
{% macro duckdb__sha256(text) %}{{ return("sha256(" ~ text ~ ")") }}{% endmacro %}

{#- HMAC-SHA-256 of a text in hexadecimal, with the key in key_file: nobody without it can try out guesses. -#}
{% macro keyed_hash(text) %}{{ return(adapter.dispatch('keyed_hash')(text)) }}{% endmacro %}
{% macro duckdb__keyed_hash(text) %}
    {%- set digits = replace_matches('content', '[^0-9A-Fa-f]', '') -%}
    {#- a key that is longer than a block of SHA-256 counts by its hash -#}
    {%- set key = "case when length(" ~ digits ~ ") > 128 then sha256(unhex(" ~ digits ~ ")) else " ~ digits ~ " end" -%}
    {%- set pads = {} -%}
    {%- for name, byte in [('inner', '36'), ('outer', '5C')] -%}
        {%- do pads.update({name: "(select cast(xor(cast(unhex(rpad(" ~ key ~ ", 128, '0')) as bit), cast(unhex(repeat('" ~ byte ~ "', 64)) as bit)) as blob) from read_text("
            ~ sql_text(key_file()) ~ "))"}) -%}
    {%- endfor -%}
    {{ return("sha256(" ~ pads.outer ~ " || unhex(sha256(" ~ pads.inner ~ " || encode(" ~ text ~ "))))") }}
{% endmacro %}

{#- A number in [0, 1) that is the same for the same text on every machine and every day. -#}
{% macro hash_share(text) %}{{ return(adapter.dispatch('hash_share')(text)) }}{% endmacro %}
{% macro duckdb__hash_share(text) %}{{ return("(cast('0x' || substr(md5(" ~ text ~ "), 1, 8) as bigint) / 4294967296.0)") }}{% endmacro %}

{#- Instants. A text with an offset is converted, one without is wall clock in the business time zone. -#}
{% macro instant_to_wall_clock(instant, zone) %}{{ return(adapter.dispatch('instant_to_wall_clock')(instant, zone)) }}{% endmacro %}
{% macro duckdb__instant_to_wall_clock(instant, zone) %}{{ return("(" ~ instant ~ " at time zone '" ~ zone ~ "')") }}{% endmacro %}

{#- A wall clock of one zone in another. -#}
{% macro change_zone(timestamp, zone, target) %}
    {{ return(timestamp if zone == target else adapter.dispatch('change_zone')(timestamp, zone, target)) }}
{% endmacro %}
{% macro duckdb__change_zone(timestamp, zone, target) %}
    {{ return("((" ~ timestamp ~ " at time zone '" ~ zone ~ "') at time zone '" ~ target ~ "')") }}
{% endmacro %}

{#- The same with the zone's name in a column, which must be one. -#}
{% macro change_zone_by(timestamp, zone, target) %}{{ return(adapter.dispatch('change_zone_by')(timestamp, zone, target)) }}{% endmacro %}
{% macro duckdb__change_zone_by(timestamp, zone, target) %}
    {{ return("((" ~ timestamp ~ " at time zone '" ~ zone ~ "') at time zone " ~ target ~ ")") }}
{% endmacro %}

{#- Is a text the IANA name of a time zone, as every engine knows it? -#}
{% macro is_time_zone(text) %}
    {%- set names = [] -%}
    {%- for name in modules.pytz.all_timezones if '/' in name -%}{%- do names.append(name) -%}{%- endfor -%}
    {{ return(text ~ " in ('" ~ names | join("', '") ~ "')") }}
{% endmacro %}

{% macro wall_clock_to_utc(timestamp) %}{{ return(change_zone(timestamp, var('business_time_zone'), 'UTC')) }}{% endmacro %}

{#- Texts as timestamps: 2026-11-10 09:50:26 or 2026-1-5 9:05; by formats in the letters of strptime; an instant with its offset. -#}
{% macro parse_timestamp(text) %}{{ return(adapter.dispatch('parse_timestamp')(text)) }}{% endmacro %}
{% macro duckdb__parse_timestamp(text) %}{{ return("try_cast(" ~ text ~ " as timestamp)") }}{% endmacro %}

{% macro parse_formatted(text, formats) %}{{ return(adapter.dispatch('parse_formatted')(text, formats)) }}{% endmacro %}
{% macro duckdb__parse_formatted(text, formats) %}
    {{ return("try_strptime(" ~ text ~ ", ['" ~ formats | join("', '") ~ "'])") }}
{% endmacro %}

{% macro parse_instant(text) %}{{ return(adapter.dispatch('parse_instant')(text)) }}{% endmacro %}
{% macro duckdb__parse_instant(text) %}{{ return("try_cast(" ~ text ~ " as timestamptz)") }}{% endmacro %}

{#- Microseconds since 1970 as a wall clock in UTC. -#}
{% macro utc_of_micros(micros) %}{{ return(adapter.dispatch('utc_of_micros')(micros)) }}{% endmacro %}
{% macro duckdb__utc_of_micros(micros) %}{{ return("make_timestamp(" ~ micros ~ ")") }}{% endmacro %}

{#- One row per calendar day (or month) from the first to the last, both included; each row is named `period_start`. -#}
{% macro calendar(first, last, grain='day') %}{{ return(adapter.dispatch('calendar')(first, last, grain)) }}{% endmacro %}
{% macro duckdb__calendar(first, last, grain) %}
    {{ return("cast(unnest(generate_series(" ~ first ~ ", " ~ last ~ ", interval 1 " ~ grain ~ ")) as date) as period_start") }}
{% endmacro %}

{#- One row per whole number from the first to the last, both included; each row is named `number`. -#}
{% macro numbers(first, last) %}{{ return(adapter.dispatch('numbers')(first, last)) }}{% endmacro %}
{% macro duckdb__numbers(first, last) %}{{ return("cast(unnest(range(" ~ first ~ ", " ~ last ~ " + 1)) as integer) as number") }}{% endmacro %}

{#- A common table expression that is computed once, whatever the optimiser thinks. -#}
{% macro as_materialized() %}{{ return(adapter.dispatch('as_materialized')()) }}{% endmacro %}
{% macro duckdb__as_materialized() %}{{ return('as materialized') }}{% endmacro %}

{#- One row per match of a regular expression in a text. -#}
{% macro each_match(text, pattern) %}{{ return(adapter.dispatch('each_match')(text, pattern)) }}{% endmacro %}
{% macro duckdb__each_match(text, pattern) %}{{ return("unnest(regexp_extract_all(" ~ text ~ ", '" ~ pattern ~ "'))") }}{% endmacro %}

{% macro add_days(date, days) %}{{ return(adapter.dispatch('add_days')(date, days)) }}{% endmacro %}
{% macro duckdb__add_days(date, days) %}{{ return("(" ~ date ~ " + cast(" ~ days ~ " as integer))") }}{% endmacro %}

{#- Whole days from one date to the other. -#}
{% macro days_between(first, last) %}{{ return(adapter.dispatch('days_between')(first, last)) }}{% endmacro %}
{% macro duckdb__days_between(first, last) %}{{ return("(" ~ last ~ " - " ~ first ~ ")") }}{% endmacro %}

{#- The same day a year before; dbt-spark's dateadd gives null where timestamps have no zone. -#}
{% macro year_before(date) %}{{ return(adapter.dispatch('year_before')(date)) }}{% endmacro %}
{% macro duckdb__year_before(date) %}{{ return("cast(" ~ dbt.dateadd('year', -1, date) ~ " as date)") }}{% endmacro %}

{#- In whole ten-thousandths: decimals are divided as floating point, whole numbers are not. -#}
{% macro duckdb__money_share(amount, part, whole) %}
    {%- set units = [] -%}
    {%- for value in [amount, part, whole] -%}
        {%- do units.append("cast(cast(" ~ value ~ " as decimal(22, 4)) * 10000 as hugeint)") -%}
    {%- endfor -%}
    {%- set product, divisor = "(" ~ units[0] ~ " * " ~ units[1] ~ ")", "nullif(" ~ units[2] ~ ", 0)" -%}
    {{ return("cast(cast(sign(" ~ product ~ ") * sign(" ~ divisor ~ ") as decimal(1, 0)) * cast((2 * abs(" ~ product ~ ") + abs(" ~ divisor
        ~ ")) // (2 * abs(" ~ divisor ~ ")) as decimal(22, 0)) * cast(0.0001 as decimal(4, 4)) as decimal(18, 4))") }}
{% endmacro %}

{#- Calendar months from one date's month to the other's. -#}
{% macro months_between_months(first, last) %}
    {{ return("(12 * (year(" ~ last ~ ") - year(" ~ first ~ ")) + month(" ~ last ~ ") - month(" ~ first ~ "))") }}
{% endmacro %}

{#- The first day of the month after that of a date. -#}
{% macro next_month(date) %}cast({{ add_days('last_day(' ~ date ~ ')', 1) }} as date){% endmacro %}

{#- "2025-03" of a date. -#}
{% macro month_label(date) %}{{ return("substr(cast(" ~ date ~ " as string), 1, 7)") }}{% endmacro %}

{#-
  The connected components of an undirected graph: each node with the smallest node that it is connected to.
  `edges` is a relation (node, neighbour) that holds each edge in both directions.
-#}
{% macro connected_components(edges) %}{{ return(adapter.dispatch('connected_components')(edges)) }}{% endmacro %}
{% macro duckdb__connected_components(edges) %}
with recursive components (node, component) using key (node) as (
    select distinct
        node,
        node as component
    from {{ edges }}

    union

    select
        edges.neighbour as node,
        min(components.component) as component
    from components
    inner join {{ edges }} as edges on components.node = edges.node
    inner join recurring.components as known on edges.neighbour = known.node
    where components.component < known.component
    group by edges.neighbour
)

select
    node,
    component
from components
{% endmacro %}
