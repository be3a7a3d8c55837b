{#-
  One row per name in the variable `audiences` (dbt_project.yml). What is read is the meta of its model, not its rows: the
  models come before this, and are not in its SQL.
-#}
{{ config(materialized='ephemeral') }}
{%- if not execute -%}
    {%- for name in audiences() -%}{%- do ref(name) -%}{%- endfor -%}
{%- endif -%}

{%- for node in audience_nodes() %}
{%- set meta = node.config.meta.audience %}
select
    {{ sql_text(node.name) }} as audience,
    {{ sql_text(meta.purpose) }} as purpose,
    {{ sql_text(node.description) if node.description else 'cast(null as string)' }} as rule,
    {{ sql_text(meta.owner) }} as owner,
    {{ sql_text(meta.campaign) if meta.campaign else 'cast(null as string)' }} as campaign_id,
    {{ sql_text(meta.play) if meta.play else 'cast(null as string)' }} as play,
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
    cast(null as string) as rule,
    cast(null as string) as owner,
    cast(null as string) as campaign_id,
    cast(null as string) as play,
    cast(null as string) as channels,
    cast(null as string) as objective,
    cast(null as double) as holdout_share,
    cast(null as integer) as minimum_size,
    cast(null as string) as fields
where 1 = 0
{%- endfor %}
