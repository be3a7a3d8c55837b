{#-
  One raw value as its declared type, or null if it is not one; an id that is text comes without blanks around it. `physical` is the type that the file holds, `settings` what
  the export is like (source_settings). What can be read is a closed list: nothing is guessed, and no time loses its zone.
-#}
{% macro typed_value(value, column, physical, settings={}, utc=false) %}
    {%- set type, meta = column.data_type, column.config.meta -%}
    {%- if physical.startswith('ENUM') or physical in ['UUID', 'JSON'] -%}
        {%- set value, physical = "cast(" ~ value ~ " as string)", 'VARCHAR' -%}
    {%- endif -%}
    {%- if type == 'timestamp' -%}
        {{ return(typed_time(value, meta, physical, settings, 'UTC' if utc else var('business_time_zone'))) }}
    {%- elif type == 'date' -%}
        {{ return("cast(" ~ typed_time(value, meta, physical, settings, var('business_time_zone')) ~ " as date)") }}
    {%- elif type == 'string' and (meta.id or meta.address) -%}
        {{ return(typed_id(value, meta, physical, settings)) }}
    {%- elif type == 'string' -%}
        {{ return(typed_text(value, physical)) }}
    {%- elif type == 'bigint' or type.startswith('decimal') -%}
        {%- set number = typed_number(value, type, physical, settings) -%}
        {{ return("abs(" ~ number ~ ")" if meta.not_negative and settings.negative_refunds else number) }}
    {%- endif -%}
    {{ return("try_cast(" ~ value ~ " as " ~ type ~ ")") }}
{% endmacro %}


{#- The value of a raw column, by the settings of its row's instance (a column) where instances have their own. -#}
{% macro typed_column(value, column, source_name, physical, instance=none, utc=false) %}
    {%- set usual, own = typed_value(value, column, physical, source_settings(source_name), utc), [] -%}
    {%- for name in (instances_with_settings(source_name) if instance else []) -%}
        {%- set typed = typed_value(value, column, physical, source_settings(source_name, name), utc) -%}
        {%- if typed != usual -%}{%- do own.append(" when " ~ sql_text(name) ~ " then " ~ typed) -%}{%- endif -%}
    {%- endfor -%}
    {{ return("case " ~ instance ~ own | join ~ " else " ~ usual ~ " end" if own else usual) }}
{% endmacro %}


{% macro is_float(physical) %}{{ return(physical in ['DOUBLE', 'FLOAT', 'REAL']) }}{% endmacro %}

{% macro is_number(physical) %}
    {{ return(physical.endswith('INT') or physical.endswith('INTEGER') or physical.startswith('DECIMAL') or is_float(physical)) }}
{% endmacro %}


{#- A text; of a whole number that a data frame turned into a float, 13085.0, the number. -#}
{% macro typed_text(value, physical) %}
    {%- if is_float(physical) -%}
        {{ return("case when not isnan(" ~ value ~ ") then case when " ~ value ~ " = floor(" ~ value ~ ") then cast(try_cast(" ~ value
            ~ " as decimal(38, 0)) as string) else cast(" ~ value ~ " as string) end end") }}
    {%- endif -%}
    {{ return(value if physical == 'VARCHAR' else "cast(" ~ value ~ " as string)") }}
{% endmacro %}


{#- Is it an id or address, written as text? Then typed_value wants it without blanks around it. -#}
{% macro is_written_id(column, physical) %}
    {{ return(column.data_type == 'string' and physical == 'VARCHAR' and (column.config.meta.id or column.config.meta.address)) }}
{% endmacro %}


{#- An id or address, without blanks around it; null if it is a word for none; 1000.0 is 1000. -#}
{% macro typed_id(value, meta, physical, settings) %}
    {%- set text = typed_text(value, physical) -%}
    {%- if physical != 'VARCHAR' and not physical.startswith('DECIMAL') -%}
        {{ return("nullif(" ~ text ~ ", '0')" if settings.zero_is_no_id else text) }}
    {%- endif -%}
    {%- set is_none = is_null_word(text, settings) ~ (" or " ~ is_shortened(text) if meta.address == 'phone' else '') -%}
    {{ return("case when " ~ is_none ~ " then null when " ~ text ~ " like '%.0%' and " ~ matches(text, '^[0-9]+[.]0+$') ~ " then "
        ~ replace_matches(text, '[.]0+$', '') ~ " else nullif(" ~ text ~ ", '') end") }}
{% endmacro %}


{#- Is a text a word for none? Only ids, e-mail addresses and phone numbers have such: Null is a surname. Most are too long for one. -#}
{% macro is_null_word(text, settings) %}
    {%- set words = [] -%}
    {%- for word in ['null', 'none', 'nan', '\\n', 'n/a', '-', 'undefined'] + (settings.null_words or []) + (['0'] if settings.zero_is_no_id else []) -%}
        {%- do words.append(word | trim | lower) -%}
    {%- endfor -%}
    {%- set texts = [] -%}
    {%- for word in words | unique -%}{%- do texts.append(sql_text(word)) -%}{%- endfor -%}
    {%- set is_zero = " or " ~ matches(text, '^0[.]0+$') if settings.zero_is_no_id else '' -%}
    {{ return("(length(" ~ text ~ ") <= " ~ words | map('length') | max ~ " and (lower(" ~ text ~ ") in (" ~ texts | join(', ') ~ ")" ~ is_zero ~ "))") }}
{% endmacro %}


{#- 1.23457E+11: what a spreadsheet leaves of a long number. -#}
{% macro is_shortened(text) %}
    {{ return("(" ~ text ~ " like '%+%' and " ~ matches(text, '^[0-9]([.,][0-9]+)?[eE][+][0-9]+$') ~ ")") }}
{% endmacro %}


{#-
  A number. Of texts: digits with a point, 1e3 too; a decimal comma, thousands and currencies only as the settings say, and then
  only where they stand right. Anything but numbers and texts, such as a boolean, is none.
-#}
{% macro typed_number(value, type, physical, settings) %}
    {%- set decimal = type if type.startswith('decimal') else 'decimal(38, 4)' -%}
    {%- if physical == 'VARCHAR' -%}
        {%- set number = "try_cast(" ~ plain_number(value, settings) ~ " as " ~ decimal ~ ")" -%}
    {%- elif is_number(physical) -%}
        {%- set number = "try_cast(" ~ value ~ " as " ~ decimal ~ ")" -%}
    {%- else -%}
        {{ return("cast(null as " ~ type ~ ")") }}
    {%- endif -%}
    {{ return(number if type != 'bigint' else "case when " ~ number ~ " = floor(" ~ number ~ ") then try_cast(" ~ number ~ " as bigint) end") }}
{% endmacro %}


{#- The text of a number as SQL reads it, null or unreadable if the number is not written as declared. -#}
{% macro plain_number(value, settings) %}
    {%- set decimal, thousands = settings.decimal or '.', settings.thousands -%}
    {%- if decimal == '.' and not thousands and not settings.currency_signs -%}
        {#- DuckDB would read 1_000 -#}
        {{ return("replace(" ~ value ~ ", '_', '?')") }}
    {%- endif -%}
    {%- set groups = {',': '[,]', '.': '[.]', "'": '[\\x27’]', ' ': '[\\p{Z}]'}.get(thousands, '') -%}
    {%- set digits = '([0-9]{1,3}(' ~ groups ~ '[0-9]{3})+|[0-9]+)' if thousands else '[0-9]+' -%}
    {%- set shape = '[+-]?' ~ digits ~ '([' ~ decimal ~ '][0-9]*)?' -%}
    {%- set signs = [] -%}
    {%- for sign in settings.currency_signs or [] -%}{%- do signs.append('\\Q' ~ sign ~ '\\E') -%}{%- endfor -%}
    {%- set number = strip(value) -%}
    {%- if signs -%}
        {%- set sign = '(' ~ signs | join('|') ~ ')' -%}
        {%- set shape = '(' ~ sign ~ '[\\p{Z}]*)?' ~ shape ~ '([\\p{Z}]*' ~ sign ~ ')?|[+-]' ~ sign ~ '[\\p{Z}]*' ~ digits ~ '([' ~ decimal ~ '][0-9]*)?' -%}
        {%- set number = replace_matches(number, sign, '') -%}
    {%- endif -%}
    {{ return("case when " ~ matches(strip(value), '^(' ~ shape ~ ')$') ~ " then replace(" ~ replace_matches(number, '[^-+0-9' ~ decimal ~ ']', '')
        ~ ", ',', '.') end") }}
{% endmacro %}


{#-
  A time, as wall clock in the zone `target`. One with an offset, or since the epoch, is converted; one without is wall clock in
  the business time zone, or in the zone that the source is declared to write; a bare date is that day, whatever the zone.
-#}
{% macro typed_time(value, meta, physical, settings, target) %}
    {%- set business = var('business_time_zone') -%}
    {%- set zone = settings.time_zone or ('UTC' if meta.utc else business) -%}
    {%- if physical == 'TIMESTAMP WITH TIME ZONE' -%}
        {{ return(instant_to_wall_clock(value, target)) }}
    {%- elif physical == 'DATE' -%}
        {{ return(change_zone("cast(" ~ value ~ " as timestamp)", business, target)) }}
    {%- elif physical.startswith('TIMESTAMP') -%}
        {{ return(change_zone("try_cast(" ~ value ~ " as timestamp)", zone, target)) }}
    {%- elif is_number(physical) -%}
        {%- set digits = "cast(" ~ ("try_cast(" ~ value ~ " as decimal(26, 6))" if is_float(physical) else value) ~ " as string)" -%}
        {{ return("case " ~ times_in_digits(digits, meta.epoch, target) | join(' ') ~ " end") }}
    {%- elif physical != 'VARCHAR' -%}
        {{ return("cast(null as timestamp)") }}
    {%- endif -%}

    {%- set formats = settings.time_format or [] -%}
    {%- set forms = [] -%}
    {%- for format in ([formats] if formats is string else formats) + ([meta.format] if meta.format else []) -%}
        {%- set pattern = time_pattern(format) -%}
        {%- do forms.append("when " ~ matches(value, '^' ~ pattern.regex ~ '$') ~ " then "
            ~ change_zone(parse_formatted(value, [pattern.strptime]), zone if pattern.has_time else business, target)) -%}
    {%- endfor -%}
    {%- if meta.epoch -%}{%- do forms.extend(times_in_digits(value, meta.epoch, target)) -%}{%- endif -%}

    {#- the common forms first -#}
    {%- set day, clock, offset = '[0-9]{4}-[0-9]{2}-[0-9]{2}', '[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?', '[+-][01][0-9](:?[0-9]{2})?' -%}
    {%- set no_z = value ~ " not like '%Z' and " -%}
    {%- if zone == business -%}
        {%- do forms.append("when " ~ no_z ~ matches(value, '^' ~ day ~ '(' ~ clock ~ ')?$') ~ " then " ~ change_zone(parse_timestamp(value), zone, target)) -%}
    {%- else -%}
        {%- do forms.append("when " ~ no_z ~ matches(value, '^' ~ day ~ clock ~ '$') ~ " then " ~ change_zone(parse_timestamp(value), zone, target)) -%}
        {%- do forms.append("when " ~ matches(value, '^' ~ day ~ '$') ~ " then " ~ change_zone(parse_timestamp(value), business, target)) -%}
    {%- endif -%}
    {%- do forms.append("when " ~ matches(value, '^' ~ day ~ clock ~ '(Z|' ~ offset ~ ')$') ~ " then " ~ instant_to_wall_clock(parse_instant(value), target)) -%}

    {#- then what else is plain: 2026/1/5 9:05, 2026-01-05 09:05:00 +0100 UTC, 2026-01-05 9:05 PM, 20260105, seconds since the epoch -#}
    {%- set day, clock = '[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}', '[T ][0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?' -%}
    {%- set offset = ' *([Zz]|UTC|GMT|' ~ offset ~ ')( UTC)?' -%}
    {%- set wall_clock = replace_matches(value, offset ~ '$', '') -%}
    {%- set shift = "coalesce(nullif(" ~ replace_matches("substr(" ~ value ~ ", length(" ~ wall_clock ~ ") + 1)", '[^-+0-9]', '') ~ ", ''), '+00')" -%}
    {%- set half_day = "upper(replace(" ~ iso_time(value) ~ ", '.', ''))" -%}
    {%- set half_days = ['%Y-%m-%d %I:%M:%S %p', '%Y-%m-%d %I:%M %p', '%Y-%m-%d %I:%M:%S%p', '%Y-%m-%d %I:%M%p'] -%}
    {%- do forms.append("when " ~ matches(value, '^' ~ day ~ '$') ~ " then " ~ change_zone(parse_timestamp(iso_time(value)), business, target)) -%}
    {%- do forms.append("when " ~ matches(value, '^' ~ day ~ clock ~ '$') ~ " then " ~ change_zone(parse_timestamp(iso_time(value)), zone, target)) -%}
    {%- do forms.append("when " ~ matches(value, '^' ~ day ~ clock ~ offset ~ '$') ~ " then "
        ~ instant_to_wall_clock(parse_instant(iso_time(wall_clock) ~ " || " ~ shift), target)) -%}
    {%- do forms.append("when " ~ matches(value, '^' ~ day ~ '[T ][0-9]{1,2}:[0-9]{2}(:[0-9]{2})? ?[AaPp][.]?[Mm][.]?$') ~ " then "
        ~ change_zone(parse_formatted(half_day, half_days), zone, target)) -%}
    {{ return("case " ~ (forms + times_in_digits(value, none, target)) | join(' ') ~ " end") }}
{% endmacro %}


{#- A time with its date in the form 2026-1-5 and a point before fractions of a second. -#}
{% macro iso_time(text) %}
    {{ return("trim(" ~ replace_matches(replace_matches(text, '[T ].*$', ''), '[/.]', '-') ~ " || ' ' || replace("
        ~ replace_matches(text, '^[^T ]*[T ]?', '') ~ ", ',', '.'))") }}
{% endmacro %}


{#- Branches for times written in digits: since the epoch in the declared unit, else by their number, or a day such as 20260105. -#}
{% macro times_in_digits(text, epoch, target) %}
    {%- set units = {'s': '[0-9]{10}', 'ms': '[0-9]{13}', 'us': '[0-9]{16}'} -%}
    {%- set per_second = {'s': 1000000, 'ms': 1000, 'us': 1} -%}
    {%- set branches = [] -%}
    {%- for unit in ([epoch] if epoch else units) -%}
        {%- set micros = "cast(try_cast(" ~ text ~ " as decimal(26, 6)) * " ~ per_second[unit] ~ " as bigint)" -%}
        {%- do branches.append("when " ~ matches(text, '^' ~ ('-?[0-9]{1,18}' if epoch else units[unit]) ~ '([.][0-9]*)?$') ~ " then "
            ~ change_zone(utc_of_micros(micros), 'UTC', target)) -%}
    {%- endfor -%}
    {%- if not epoch -%}
        {%- do branches.append("when " ~ matches(text, '^[0-9]{8}([.]0*)?$') ~ " then "
            ~ change_zone(parse_formatted("substr(" ~ text ~ ", 1, 8)", ['%Y%m%d']), var('business_time_zone'), target)) -%}
    {%- endif -%}
    {{ return(branches) }}
{% endmacro %}


{#-
  A readable pattern of a time, such as dd.mm.yyyy hh:mm or mm/dd/yyyy hh:mm am, as {strptime, regex, has_time}; none if it is no
  pattern. A year has four digits; mm after hh is minutes; mon is the English abbreviation of a month.
-#}
{% macro time_pattern(format) %}
    {%- set runs = [] -%}
    {%- for letter in (format | string | trim | lower | replace('mon', '1') | replace('am', '2') | replace('pm', '2')) -%}
        {%- if runs and runs[-1][0] == letter -%}{%- do runs.append(runs.pop() ~ letter) -%}{%- else -%}{%- do runs.append(letter) -%}{%- endif -%}
    {%- endfor -%}
    {%- set found = namespace(strptime='', regex='', parts='') -%}
    {%- for run in runs -%}
        {%- set part = {'yyyy': 'y', '1': 'b', 'd': 'd', 'dd': 'd', 'h': 'h', 'hh': 'h', 's': 's', 'ss': 's', '2': 'p'}.get(run, '') -%}
        {%- if run in ['m', 'mm'] -%}{%- set part = 'i' if 'h' in found.parts else 'm' -%}{%- endif -%}
        {%- if part -%}
            {%- set found.parts = found.parts ~ part -%}
            {%- set found.strptime = found.strptime ~ {'y': '%Y', 'b': '%b', 'm': '%m', 'd': '%d', 'h': '%I' if '2' in runs else '%H', 'i': '%M', 's': '%S', 'p': '%p'}[part] -%}
            {%- set found.regex = found.regex ~ {'y': '[0-9]{4}', 'b': '[A-Za-z]{3}', 'p': '[AaPp][Mm]'}.get(part, '[0-9]{1,2}') -%}
        {%- elif run in ['-', '/', '.', ':', ',', ' '] -%}
            {%- set found.strptime, found.regex = found.strptime ~ run, found.regex ~ '[' ~ run ~ ']' -%}
        {%- else -%}
            {{ return(none) }}
        {%- endif -%}
    {%- endfor -%}
    {%- set day = found.parts | replace('b', 'm') | replace('p', '') -%}
    {%- if day[:3] | sort | join != 'dmy' or day[3:] not in ['', 'hi', 'his'] or ('p' in found.parts and day[3:] == '') -%}{{ return(none) }}{%- endif -%}
    {{ return({'strptime': found.strptime, 'regex': found.regex, 'has_time': day[3:] != ''}) }}
{% endmacro %}


{#- Why a raw value, which is there, is not of its declared type, and how to mend it, as SQL. It never shows the value. -#}
{% macro why_not_typed(value, column, source_name, physical) %}
    {%- set type, settings = column.data_type, source_settings(source_name) -%}
    {%- set place, declare = column.name ~ ': ', '; declare source_settings.' ~ source_name ~ '.' -%}
    {%- set kind = 'time' if type in ['timestamp', 'date'] else 'truth value' if type == 'boolean' else 'whole number' if type == 'bigint' else 'number' -%}
    {%- set is_text, branches = physical == 'VARCHAR', [] -%}
    {%- set general = 'not a ' ~ kind -%}
    {%- set is_time = physical.startswith('TIMESTAMP') or physical == 'DATE' -%}
    {%- if not is_text and not is_number(physical) and kind != 'truth value' and not (is_time and kind == 'time') -%}
        {%- set held = 'list' if physical.endswith(']') else physical.split('(')[0] | lower -%}
        {{ return(sql_text(place ~ 'the file holds a ' ~ held ~ ' there, which is no ' ~ kind)) }}
    {%- elif kind == 'time' -%}
        {%- set general = 'not a time that can be read (2026-11-10, 2026-11-10 09:50:26, 2026-11-10T09:50:26Z, 2026-11-10 09:50:26 +01:00, 2026-11-10 9:50 PM, 20261110, seconds since 1970)'
            ~ declare ~ 'time_format if it has another' -%}
        {%- if is_text -%}
            {%- do branches.append([matches(value, '^[0-9]{1,2}[-/. ]([0-9]{1,2}|[A-Za-z]{3})[-/. ][0-9]{2}([^0-9]|$)'), 'a year of two digits; export it with four']) -%}
            {%- do branches.append([matches(value, '^[0-9]{4}.*:[0-9]{2}.*[A-Za-z]'), 'letters after the time that are no zone; Z, UTC, GMT and offsets such as +01:00 are']) -%}
        {%- endif -%}
    {%- elif 'number' in kind -%}
        {%- set exact = plain_number(value, settings) if is_text else value -%}
        {%- if type != 'bigint' -%}{%- do branches.append(["try_cast(" ~ exact ~ " as decimal(38, 4)) is not null", 'beyond 1,000,000,000,000']) -%}{%- endif -%}
        {%- set start, group = '^[-+]?[0-9]{1,3}', '\\x27’\\p{Z}]' -%}
        {%- if is_text and not settings.currency_signs -%}
            {%- do branches.append([matches(value, '\\p{Sc}|^[-+]?[A-Za-z]{3}[\\p{Z}]*[-+]?[0-9]|[0-9][\\p{Z}]*[A-Za-z]{3}$'), 'a currency beside the number' ~ declare ~ 'currency_signs']) -%}
        {%- endif -%}
        {%- if is_text and not settings.decimal and not settings.thousands -%}
            {%- do branches.append([matches(value, start ~ '([.' ~ group ~ '[0-9]{3})+,[0-9]*$'), 'thousands separators and a decimal comma' ~ declare ~ 'thousands and .decimal']) -%}
            {%- do branches.append([matches(value, start ~ '(,[0-9]{3})$'), 'a comma, for decimals or between thousands' ~ declare ~ 'decimal or .thousands']) -%}
            {%- do branches.append([matches(value, start ~ '([.,' ~ group ~ '[0-9]{3})+([.][0-9]*)?$'), 'thousands separators' ~ declare ~ 'thousands']) -%}
            {%- do branches.append([matches(value, '^[-+]?[0-9]*,[0-9]+$'), 'a decimal comma' ~ declare ~ 'decimal']) -%}
        {%- elif is_text -%}
            {%- set general = general ~ ' written as source_settings.' ~ source_name ~ ' says' -%}
        {%- endif -%}
    {%- endif -%}
    {%- set reasons = [] -%}
    {%- for condition, text in branches -%}{%- do reasons.append(" when " ~ condition ~ " then " ~ sql_text(place ~ text)) -%}{%- endfor -%}
    {{ return("case" ~ reasons | join ~ " else " ~ sql_text(place ~ general) ~ " end" if reasons else sql_text(place ~ general)) }}
{% endmacro %}


{#- What is to be told of a raw value although it is taken, as a list of {when, text} in SQL. -#}
{% macro remarks(value, column, physical) %}
    {%- set place, type, found = column.name ~ ': ', column.data_type, [] -%}
    {%- if type == 'string' and column.config.meta.address == 'email' -%}
        {%- do found.append({'when': column.name ~ " not like '%_@_%' and not " ~ is_listed_hash(column.name), 'text': place ~ 'no address, there is no @ in it'}) -%}
    {%- elif type == 'string' and (column.config.meta.id or column.config.meta.address == 'phone') -%}
        {%- if physical == 'VARCHAR' -%}
            {%- do found.append({'when': is_shortened(value), 'text': place ~ 'damaged, a spreadsheet has shortened the number to a form such as 1.2E+11'}) -%}
        {%- elif physical == 'DOUBLE' -%}
            {%- do found.append({'when': "abs(" ~ value ~ ") >= 9007199254740992", 'text': place ~ 'damaged, a float cannot hold all digits of the number'}) -%}
        {%- endif -%}
    {%- elif type.startswith('decimal') and column.config.meta.minor_units is not true -%}
        {#- no group of thousands has five digits, so a typed number with them has decimals -#}
        {%- set exact = "try_cast(" ~ value ~ " as decimal(38, 20))" -%}
        {%- set more = {
            'VARCHAR': "case when lower(" ~ value ~ ") like '%e%' then abs(" ~ exact ~ ") != abs(cast(" ~ column.name ~ " as decimal(38, 20))) when length("
                ~ value ~ ") > 5 then " ~ column.name ~ " is not null and " ~ matches(value, '[.,][0-9]{4}[0-9]*[1-9]') ~ " end",
            'DOUBLE': "abs(abs(" ~ value ~ ") - abs(cast(" ~ column.name ~ " as double))) > 0.000000001 * greatest(1, abs(" ~ value ~ "))",
        } -%}
        {%- set is_rounded = "abs(" ~ value ~ ") != abs(" ~ column.name ~ ")" if physical.startswith('DECIMAL') else more.get(physical) -%}
        {%- if is_rounded -%}{%- do found.append({'when': is_rounded, 'text': place ~ 'more than four decimals, rounded half up'}) -%}{%- endif -%}
    {%- elif column.config.meta.lenient -%}
        {%- do found.append({'when': value ~ " is not null and coalesce(" ~ column.name ~ " < cast('" ~ var('earliest_plausible_date') ~ "' as timestamp), true)", 'text': place ~ 'not a time that can be read, taken as unknown'}) -%}
    {%- endif -%}
    {{ return(found) }}
{% endmacro %}
