{#-
  An audience is a file in models/marts/audiences with `meta.audience`; docs/audiences.md says what goes there.
  These macros find the files, in the order of their names, and check them before anything is built.
-#}
{% macro audience_nodes() %}
    {{ return(graph.nodes.values() | selectattr('resource_type', 'equalto', 'model') | selectattr('config.meta.audience', 'defined')
        | sort(attribute='name') | list) }}
{% endmacro %}


{#- All audiences: name, meta and SQL. The SQL selects person_id and entered_on, null where the file does not say. -#}
{% macro audiences() %}
    {%- if not execute -%}{{ return([]) }}{%- endif -%}
    {%- set problems = audience_problems() -%}
    {%- if problems -%}{{ stop_with(problems) }}{%- endif -%}
    {%- set found = [] -%}
    {%- for node in audience_nodes() -%}
        {%- set says_since_when = modules.re.search('\\bentered_on\\b', modules.re.sub('--[^\\n]*', '', node.raw_code)) -%}
        {%- do found.append({'name': node.name, 'meta': node.config.meta.audience, 'code': node.raw_code, 'has_entered_on': says_since_when is not none}) -%}
    {%- endfor -%}
    {{ return(found) }}
{% endmacro %}


{#- Everything that is wrong with the audience files, each as one line that says how to mend it. -#}
{% macro audience_problems() %}
    {%- set problems = [] -%}
    {%- set required = ['purpose', 'owner', 'channels', 'objective', 'holdout_share', 'minimum_size', 'fields'] -%}
    {%- set channels = ['email', 'sms', 'push', 'ads'] -%}
    {%- set members = graph.nodes['model.' ~ project_name ~ '.audience_members'] -%}
    {%- set customers = graph.nodes['model.' ~ project_name ~ '.customers'] -%}
    {%- set fields = (customers.columns.keys() | list) + ['audience', 'entered_on', 'consented_at'] -%}
    {%- for node in audience_nodes() -%}
        {%- set place = "audience " ~ node.name ~ ": " -%}
        {%- set before = problems | length -%}
        {%- set meta = node.config.meta.audience -%}
        {%- if meta is not mapping -%}
            {%- do problems.append(place ~ "meta.audience must be a list of settings, such as {'purpose': '...'}; docs/audiences.md has them all") -%}
        {%- else -%}
            {%- for key in required if key not in meta -%}
                {%- do problems.append(place ~ "meta.audience needs '" ~ key ~ "'; docs/audiences.md says what it is") -%}
            {%- endfor -%}
            {%- for key in meta if key not in required + ['campaign'] -%}
                {%- do problems.append(place ~ "meta.audience does not know '" ~ key ~ "'; known: " ~ (required + ['campaign']) | sort | join(', ')) -%}
            {%- endfor -%}
            {%- for key in ['purpose', 'owner', 'objective'] if key in meta and (meta[key] is not string or not meta[key] | trim) -%}
                {%- do problems.append(place ~ key ~ " must be a text") -%}
            {%- endfor -%}
            {%- if meta.campaign is defined and meta.campaign is not none and meta.campaign is not string -%}
                {%- do problems.append(place ~ "campaign must be the ESP's campaign id as a text, or none") -%}
            {%- endif -%}
            {%- for key in ['channels', 'fields'] if key in meta and (meta[key] is string or meta[key] is mapping or meta[key] is not sequence) -%}
                {%- do problems.append(place ~ key ~ " must be a list, such as ['" ~ ('email' if key == 'channels' else 'first_name') ~ "']") -%}
            {%- else -%}
                {%- if 'channels' in meta and not meta.channels -%}
                    {%- do problems.append(place ~ "channels must name at least one of " ~ channels | join(', ')) -%}
                {%- endif -%}
            {%- endfor -%}
            {%- if problems | length == before -%}
                {%- for channel in meta.channels if channel not in channels -%}
                    {%- do problems.append(place ~ "unknown channel '" ~ channel ~ "'; known: " ~ channels | join(', ')) -%}
                {%- endfor -%}
                {%- for field in meta.fields if field not in fields -%}
                    {%- do problems.append(place ~ "customers has no column '" ~ field ~ "' to send (fields)") -%}
                {%- endfor -%}
            {%- endif -%}
            {%- if 'holdout_share' in meta and (meta.holdout_share is not number or meta.holdout_share is boolean or not 0 <= meta.holdout_share <= 1) -%}
                {%- do problems.append(place ~ "holdout_share '" ~ meta.holdout_share ~ "' must be a number from 0 to 1") -%}
            {%- endif -%}
            {%- if 'minimum_size' in meta and (meta.minimum_size is not integer or meta.minimum_size is boolean or meta.minimum_size < 0) -%}
                {%- do problems.append(place ~ "minimum_size '" ~ meta.minimum_size ~ "' must be a whole number, 0 or more") -%}
            {%- endif -%}
        {%- endif -%}
        {%- if not modules.re.fullmatch('[a-z][a-z0-9_]*', node.name) or node.name == 'suppress' -%}
            {%- do problems.append(place ~ "the file's name must be lower-case letters, digits and _, and not 'suppress'") -%}
        {%- endif -%}
        {%- for unique_id in node.depends_on.nodes if unique_id not in members.depends_on.nodes -%}
            {%- do problems.append(place ~ "it reads " ~ unique_id.split('.')[-1] ~ ", which audiences cannot yet; add it to the list at the top of models/marts/audiences/audience_members.sql") -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(problems) }}
{% endmacro %}


{#- One row per audience: what its meta says. -#}
{% macro audience_rows() %}
    {%- for audience in audiences() %}
    {%- set meta = audience.meta %}
select
    {{ sql_text(audience.name) }} as audience,
    {{ sql_text(meta.purpose) }} as purpose,
    {{ sql_text(meta.owner) }} as owner,
    {{ sql_text(meta.campaign) if meta.campaign else 'cast(null as string)' }} as campaign_id,
    {{ sql_text(meta.channels | join(', ')) }} as channels,
    {{ sql_text(meta.objective) }} as objective,
    cast({{ meta.holdout_share }} as double) as holdout_share,
    cast({{ meta.minimum_size }} as integer) as minimum_size,
    {{ sql_text(meta.fields | join(', ')) }} as fields
{{ 'union all' if not loop.last }}
    {%- else %}
select
    cast(null as string) as audience,
    cast(null as string) as purpose,
    cast(null as string) as owner,
    cast(null as string) as campaign_id,
    cast(null as string) as channels,
    cast(null as string) as objective,
    cast(null as double) as holdout_share,
    cast(null as integer) as minimum_size,
    cast(null as string) as fields
where 1 = 0
    {%- endfor %}
{% endmacro %}


{#- One row per audience and person that its file selects; entered_on is null where the file does not say. -#}
{% macro audience_people() %}
    {%- for audience in audiences() %}
select
    {{ sql_text(audience.name) }} as audience,
    person_id,
    {{ 'cast(entered_on as date)' if audience.has_entered_on else 'cast(null as date)' }} as entered_on
from (
    {{ render(audience.code) }}
) as {{ audience.name }}
{{ 'union all' if not loop.last }}
    {%- else %}
select
    cast(null as string) as audience,
    cast(null as string) as person_id,
    cast(null as date) as entered_on
where 1 = 0
    {%- endfor %}
{% endmacro %}
