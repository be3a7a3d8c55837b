{#-
  An audience is a model with `meta.audience` whose name is in the variable `audiences`; docs/audiences.md says what goes
  there. These macros find the models and check them before anything is built.
-#}
{% macro audiences() %}
    {%- set names = var('audiences') -%}
    {%- if names is string or names is mapping or names is not sequence or names | reject('string') | list -%}
        {{ stop_with(["variable audiences: a list of names of models is needed, such as [win_back], or [] for none"]) }}
    {%- endif -%}
    {%- for name in names if names.count(name) > 1 -%}
        {{ stop_with(["variable audiences: '" ~ name ~ "' is in the list twice"]) }}
    {%- endfor -%}
    {{ return(names) }}
{% endmacro %}


{#- The models of this project by name, whatever other projects call theirs. -#}
{% macro own_models() %}
    {%- set models = graph.nodes.values() | selectattr('resource_type', 'equalto', 'model') | list -%}
    {%- set members = models | selectattr('name', 'equalto', 'audience_members') | first -%}
    {%- set found = {} -%}
    {%- for model in models if model.package_name == members.package_name -%}{%- do found.update({model.name: model}) -%}{%- endfor -%}
    {{ return(found) }}
{% endmacro %}


{#- The models that audience_members reads as audiences, of this project or another one that uses it. -#}
{% macro audience_nodes() %}
    {%- if not execute -%}{{ return([]) }}{%- endif -%}
    {%- set found = [] -%}
    {%- for unique_id in own_models()['audience_members'].depends_on.nodes if unique_id.split('.')[-1] in audiences() -%}
        {%- do found.append(graph.nodes[unique_id]) -%}
    {%- endfor -%}
    {{ return(found | sort(attribute='name')) }}
{% endmacro %}


{#- What a campaign may need to know of a person: what the exporter can write (scripts/audience_export). -#}
{% macro audience_fields() %}
    {%- set models = own_models() -%}
    {{ return((models['customers'].columns.keys() | list + models['customer_campaign_facts'].columns.keys() | list
        + ['audience', 'entered_on', 'consented_at']) | unique | list) }}
{% endmacro %}


{#- Everything that is wrong with the audiences, each as one line that says how to mend it. -#}
{% macro audience_problems() %}
    {%- set problems = [] -%}
    {%- set required = ['purpose', 'owner', 'channels', 'objective', 'holdout_share', 'minimum_size', 'fields'] -%}
    {%- set channels = ['email', 'sms', 'push', 'ads'] -%}
    {%- set fields = audience_fields() -%}
    {%- set listed = audience_nodes() -%}
    {%- set listed_ids = listed | map(attribute='unique_id') | list -%}
    {#- what a package brings and the project that uses it does not list is none of its audiences -#}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.package_name == project_name
        and node.config.meta.audience is defined and node.unique_id not in listed_ids -%}
        {%- do problems.append("audience " ~ node.name ~ ": " ~ node.original_file_path ~ " is not in the list; add " ~ node.name ~ " to the variable audiences in dbt_project.yml, or delete the file") -%}
    {%- endfor -%}
    {%- for node in listed -%}
        {%- set place = "audience " ~ node.name ~ ": " -%}
        {%- set before = problems | length -%}
        {%- set meta = node.config.meta.audience -%}
        {%- if meta is not mapping -%}
            {%- do problems.append(place ~ "meta.audience must be a list of settings, such as {'purpose': '...'}; docs/audiences.md has them all") -%}
        {%- else -%}
            {%- for key in required if key not in meta -%}
                {%- do problems.append(place ~ "meta.audience needs '" ~ key ~ "'; docs/audiences.md says what it is") -%}
            {%- endfor -%}
            {%- for key in meta if key not in required + ['campaign', 'play'] -%}
                {%- do problems.append(place ~ "meta.audience does not know '" ~ key ~ "'; known: " ~ (required + ['campaign', 'play']) | sort | join(', ')) -%}
            {%- endfor -%}
            {%- for key in ['purpose', 'owner', 'objective'] if key in meta and (meta[key] is not string or not meta[key] | trim) -%}
                {%- do problems.append(place ~ key ~ " must be a text") -%}
            {%- endfor -%}
            {%- if meta.campaign is defined and meta.campaign is not none and meta.campaign is not string -%}
                {%- do problems.append(place ~ "campaign must be the ESP's campaign id as a text, or none") -%}
            {%- endif -%}
            {%- if meta.play is defined and meta.play is not none and meta.play is not string -%}
                {%- do problems.append(place ~ "play must be the name of a play of seeds/playbook.csv as a text, or none") -%}
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
                    {%- do problems.append(place ~ "there is no column '" ~ field ~ "' to send in customers or customer_campaign_facts (fields)") -%}
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
        {%- if not modules.re.search('\\bentered_on\\b|\\*', node.raw_code) -%}
            {%- do problems.append(place ~ "its SQL must select entered_on, too: since when, or cast(null as date) where nothing says so") -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(problems) }}
{% endmacro %}
