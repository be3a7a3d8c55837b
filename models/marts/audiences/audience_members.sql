-- the audiences are the models in the variable `audiences` (dbt_project.yml)
with customers as (
    select * from {{ ref('customers') }}
    where stage != 'erased'
),

customer_channels as (
    select * from {{ ref('customer_channels') }}
),

block_reasons as (
    select * from {{ ref('block_reasons') }}
),

audiences as (
    select * from {{ ref('int_audiences') }}
),

assignments as (
    select * from {{ ref('int_audience_assignments') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

members as (
    {%- for name in audiences() %}
    select
        '{{ name }}' as audience,
        {{ name }}.person_id,
        cast({{ name }}.entered_on as date) as entered_on
    from {{ ref(name) }} as {{ name }}
    {{ 'union all' if not loop.last }}
    {%- else %}
    select
        cast(null as string) as audience,
        cast(null as string) as person_id,
        cast(null as date) as entered_on
    where 1 = 0
    {%- endfor %}
),

strongest_blocks as (
    select
        customer_channels.person_id,
        min_by(block_reasons.reason, block_reasons.position) as blocked_reason
    from customer_channels
    inner join block_reasons on customer_channels.blocked_reason = block_reasons.reason
    group by customer_channels.person_id
),

final as (
    select
        members.audience,
        members.person_id,
        coalesce(assignments.entered_on, members.entered_on, as_of.as_of_date) as entered_on,
        coalesce(
            assignments.is_holdout,
            {{ hash_share(sql_text(var('holdout_salt') ~ ':') ~ " || members.audience || ':' || members.person_id") }}
            < audiences.holdout_share
        ) as is_holdout,
        customers.can_email,
        customers.can_sms,
        customers.can_push,
        customers.can_ads,
        case
            when not (customers.can_email or customers.can_sms or customers.can_push or customers.can_ads)
                then strongest_blocks.blocked_reason
        end as blocked_reason
    from members
    inner join customers on members.person_id = customers.person_id
    inner join audiences on members.audience = audiences.audience
    cross join as_of
    left join assignments on members.audience = assignments.audience and members.person_id = assignments.person_id
    left join strongest_blocks on members.person_id = strongest_blocks.person_id
)

select * from final
