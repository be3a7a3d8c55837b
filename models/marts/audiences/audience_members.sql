{#- Adding an audience is adding a line here: its name, who is in it, and the day since when. -#}
{%- set audiences = {
    'stage_new': ("stage = 'new'", "cast(stage_entered_at as date)"),
    'champions': ("rfm_segment = 'champions'", "cast(null as date)"),
    'at_risk': ("stage = 'at_risk'", "cast(stage_entered_at as date)"),
    'lapsed': ("stage = 'lapsed'", "cast(stage_entered_at as date)"),
    'passive_30d': ("not is_active_30d", "coalesce(" ~ add_days('last_activity_date', var('active_days'))
        ~ ", cast(first_seen_at as date))"),
} -%}

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
    select listed.audience from (
        values
        {%- for audience in audiences %}
        ('{{ audience }}'){{ ',' if not loop.last }}
        {%- endfor %}
    ) as listed (audience)
),

members as (
    select
        audiences.audience,
        customers.person_id,
        case audiences.audience
            {%- for audience, (rule, since) in audiences.items() %}
            when '{{ audience }}' then {{ since }}
            {%- endfor %}
        end as entered_on,
        customers.can_email,
        customers.can_sms,
        customers.can_push,
        customers.can_ads
    from customers
    cross join audiences
    where
        case audiences.audience
            {%- for audience, (rule, since) in audiences.items() %}
            when '{{ audience }}' then {{ rule }}
            {%- endfor %}
        end
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
        members.entered_on,
        {{ hash_share("'" ~ var('holdout_salt') ~ ":' || members.audience || ':' || members.person_id") }}
        < {{ var('holdout_share') }} as is_holdout,
        members.can_email,
        members.can_sms,
        members.can_push,
        members.can_ads,
        case
            when not (members.can_email or members.can_sms or members.can_push or members.can_ads)
                then strongest_blocks.blocked_reason
        end as blocked_reason
    from members
    left join strongest_blocks on members.person_id = strongest_blocks.person_id
)

select * from final
