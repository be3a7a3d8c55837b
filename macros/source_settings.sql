{#-
  What somebody's export is like: the variable `source_settings`, by adapter or dbt source, and `instances` in it. Of an
  instance its own settings, then the source's, then the adapter's.
-#}
{% macro source_settings(source_name, instance=none) %}
    {%- set all = var('source_settings') or {} -%}
    {%- set settings = {} -%}
    {%- for name, adapter in adapters().items() if source_name in adapter.raw and name != source_name -%}
        {%- do settings.update(all.get(name) or {}) -%}
    {%- endfor -%}
    {%- do settings.update(all.get(source_name) or {}) -%}
    {%- do settings.update((settings.get('instances') or {}).get(instance) or {}) -%}
    {{ return(settings) }}
{% endmacro %}


{#- The instances of a source that have settings of their own. -#}
{% macro instances_with_settings(source_name) %}
    {{ return((source_settings(source_name).get('instances') or {}).keys() | list) }}
{% endmacro %}


{% macro setting_names() %}
    {{ return(['currency_signs', 'decimal', 'links_to', 'negative_refunds', 'null_words', 'thousands', 'time_format', 'time_zone',
        'undated_no', 'zero_is_no_id']) }}
{% endmacro %}


{#- Everything that is wrong with source_settings, each as one line that says how to mend it. -#}
{% macro source_settings_problems() %}
    {%- set problems = [] -%}
    {%- set all = var('source_settings') or {} -%}
    {%- set sources = known_sources() -%}
    {%- for adapter in adapters().values() -%}{%- do sources.extend(adapter.raw.keys()) -%}{%- endfor -%}
    {%- set sources = sources | unique | sort | list -%}
    {%- if all is not mapping -%}
        {{ return(["variable source_settings: settings by source are needed, such as {orders_file: {decimal: ','}}"]) }}
    {%- endif -%}
    {%- for name, settings in all.items() -%}
        {%- set place = "variable source_settings." ~ name -%}
        {%- if name == 'orders_from' -%}
            {%- for source in ([settings] if settings is string else settings) if source not in sources -%}
                {%- do problems.append(place ~ ": unknown source '" ~ source ~ "'" ~ did_you_mean(source, sources)) -%}
            {%- endfor -%}
        {%- elif name not in sources -%}
            {%- do problems.append(place ~ ": no such source" ~ did_you_mean(name, sources + ['orders_from'])) -%}
        {%- elif settings is not mapping -%}
            {%- do problems.append(place ~ ": settings are needed, such as {decimal: ','}") -%}
        {%- else -%}
            {%- do problems.extend(setting_problems(place, settings, setting_names() + ['instances'])) -%}
            {%- set instances = settings.get('instances') or {} -%}
            {%- if instances is not mapping -%}
                {%- do problems.append(place ~ ".instances: settings by instance are needed, such as {berlin: {decimal: ','}}") -%}
                {%- set instances = {} -%}
            {%- endif -%}
            {%- for instance, own in instances.items() -%}
                {%- if own is not mapping -%}
                    {%- do problems.append(place ~ ".instances." ~ instance ~ ": settings are needed, such as {decimal: ','}") -%}
                {%- else -%}
                    {%- do problems.extend(setting_problems(place ~ ".instances." ~ instance, own, setting_names())) -%}
                {%- endif -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endfor -%}
    {%- for system in ['app', 'esp'] if system in active_sources() and not linked_shop(system) -%}
        {%- do problems.append("variable source_settings." ~ system ~ ".links_to: several shops are read, so name the one whose customer ids " ~ system ~ " means") -%}
    {%- endfor -%}
    {{ return(problems) }}
{% endmacro %}


{#- What is wrong with the settings of one place. -#}
{% macro setting_problems(place, settings, known) %}
    {%- set problems = [] -%}
    {%- for key in settings if key not in known -%}
        {%- do problems.append(place ~ ": unknown setting '" ~ key ~ "'" ~ did_you_mean(key, known)) -%}
    {%- endfor -%}
    {%- set decimal, thousands = settings.get('decimal'), settings.get('thousands') -%}
    {%- if decimal is not none and decimal not in [',', '.'] -%}
        {%- do problems.append(place ~ ".decimal: '" ~ decimal ~ "' must be ',' or '.'") -%}
    {%- endif -%}
    {%- if thousands is not none and thousands not in [',', '.', "'", ' '] -%}
        {%- do problems.append(place ~ ".thousands: '" ~ thousands ~ "' must be ',' or '.' or an apostrophe or a blank") -%}
    {%- elif thousands is not none and thousands == (decimal or '.') -%}
        {%- do problems.append(place ~ ".thousands: '" ~ thousands ~ "' cannot stand for thousands and decimals; set decimal too") -%}
    {%- endif -%}
    {%- if 'time_format' in settings -%}
        {%- set formats = settings.time_format -%}
        {%- for format in ([formats] if formats is string else formats if formats is sequence and formats is not mapping else ['']) -%}
            {%- if time_pattern(format) is none -%}
                {%- do problems.append(place ~ ".time_format: '" ~ format ~ "' must be a pattern of yyyy, mm or mon, dd, hh, mm, ss and am, such as dd.mm.yyyy hh:mm") -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if 'time_zone' in settings and settings.time_zone not in modules.pytz.all_timezones -%}
        {%- do problems.append(place ~ ".time_zone: '" ~ settings.time_zone ~ "' is no IANA time zone, such as Europe/Berlin") -%}
    {%- endif -%}
    {%- for key in ['null_words', 'currency_signs'] if key in settings -%}
        {%- set words = settings[key] -%}
        {%- set wrong = [] -%}
        {%- for word in (words if words is sequence and words is not string and words is not mapping else ['']) if word is not string or not word | trim -%}
            {%- do wrong.append(word) -%}
        {%- endfor -%}
        {%- if wrong or (key == 'currency_signs' and modules.re.search("[0-9'\\\\]", words | join)) -%}
            {%- do problems.append(place ~ "." ~ key ~ ": a list of texts is needed, " ~ ("such as ['unknown']" if key == 'null_words' else "without digits, quotes and backslashes, such as ['€', 'EUR']")) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- for key in ['zero_is_no_id', 'negative_refunds'] if key in settings and settings[key] is not boolean -%}
        {%- do problems.append(place ~ "." ~ key ~ ": '" ~ settings[key] ~ "' must be true or false") -%}
    {%- endfor -%}
    {%- if settings.get('undated_no', 'silence') != 'silence' -%}
        {%- do problems.append(place ~ ".undated_no: '" ~ settings.undated_no ~ "' must be silence, or left out: then a no without a date is a no") -%}
    {%- endif -%}
    {%- set shops = (providers('shop', 'customers') + providers('shop', 'orders')) | map(attribute='system') | unique | sort | list -%}
    {%- if 'links_to' in settings and (settings.links_to is not string or settings.links_to.split(':')[0] not in shops) -%}
        {%- do problems.append(place ~ ".links_to: '" ~ settings.links_to ~ "' must be a shop that is read (" ~ shops | join(', ') ~ "), or an instance of it, such as shopify:berlin") -%}
    {%- endif -%}
    {{ return(problems) }}
{% endmacro %}


{#- A hint for a misspelt word: the known one that shares most pairs of letters with it, and all of them if none is near. -#}
{% macro did_you_mean(word, known) %}
    {%- set best = namespace(word=none, score=0.5) -%}
    {%- set pairs = letter_pairs(word) -%}
    {%- for other in known -%}
        {%- set others = letter_pairs(other) -%}
        {%- set score = 2 * (pairs | select('in', others) | list | length) / (pairs + others) | length if pairs + others else 0 -%}
        {%- if score > best.score -%}{%- set best.word, best.score = other, score -%}{%- endif -%}
    {%- endfor -%}
    {{ return("; did you mean '" ~ best.word ~ "'?" if best.word else '; known: ' ~ known | sort | join(', ')) }}
{% endmacro %}

{% macro letter_pairs(word) %}
    {%- set text, pairs = ' ' ~ word | string | lower ~ ' ', [] -%}
    {%- for start in range(text | length - 1) -%}{%- do pairs.append(text[start:start + 2]) -%}{%- endfor -%}
    {{ return(pairs | unique | list) }}
{% endmacro %}
