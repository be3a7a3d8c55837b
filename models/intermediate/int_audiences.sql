-- the audience files as rows: what their meta says of them
with listed as (
    {%- for audience in audiences() %}
    {%- set meta = audience.meta %}
    select
        {{ sql_text(audience.name) }} as audience,
        {{ sql_text(meta.purpose) }} as purpose,
        {{ sql_text(meta.owner) }} as owner,
        {{ sql_text(meta.campaign) if meta.campaign else 'cast(null as varchar)' }} as campaign_id,
        {{ sql_text(meta.channels | join(', ')) }} as channels,
        {{ sql_text(meta.objective) }} as objective,
        cast({{ meta.holdout_share }} as double) as holdout_share,
        cast({{ meta.minimum_size }} as integer) as minimum_size,
        {{ sql_text(meta.fields | join(', ')) }} as fields
    {{ 'union all' if not loop.last }}
    {%- else %}
    select
        cast(null as varchar) as audience,
        cast(null as varchar) as purpose,
        cast(null as varchar) as owner,
        cast(null as varchar) as campaign_id,
        cast(null as varchar) as channels,
        cast(null as varchar) as objective,
        cast(null as double) as holdout_share,
        cast(null as integer) as minimum_size,
        cast(null as varchar) as fields
    where 1 = 0
    {%- endfor %}
)

select * from listed
