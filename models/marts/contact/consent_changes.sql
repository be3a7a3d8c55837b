{%- set reasons = {
    'opted_out': 'opt_outs', 'unsubscribed': 'unsubscribed', 'complaint': 'complaints', 'hard_bounce': 'hard_bounces',
    'erased': 'erased'
} -%}
with list_changes as (
    select * from {{ ref('int_list_changes') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

-- a yes without a time has been there from the beginning
bounds as (
    select
        coalesce(min(list_changes.changed_on), max(as_of.as_of_date)) as first_day,
        max(as_of.as_of_date) as last_day
    from as_of
    left join list_changes on true
),

dated as (
    select
        list_changes.channel,
        list_changes.source,
        list_changes.reason,
        list_changes.change,
        cast(date_trunc('month', coalesce(list_changes.changed_on, bounds.first_day)) as date) as month
    from list_changes
    cross join bounds
),

monthly as (
    select
        channel,
        source,
        month,
        count(case when change = 1 then 1 end) as opt_ins,
        {%- for reason, name in reasons.items() %}
        count(case when reason = '{{ reason }}' then 1 end) as {{ name }},
        {%- endfor %}
        cast(sum(change) as bigint) as net_growth
    from dated
    group by channel, source, month
),

-- without holes, from a source's first month on
sources as (
    select
        monthly.channel,
        monthly.source,
        min(monthly.month) as first_month,
        max(bounds.last_day) as last_day
    from monthly
    cross join bounds
    group by monthly.channel, monthly.source
),

months as (
    select
        channel,
        source,
        {{ calendar('first_month', 'last_day', 'month') }}
    from sources
),

filled as (
    select
        months.channel,
        months.source,
        months.period_start as month,
        {%- for name in ['opt_ins'] + reasons.values() | list + ['net_growth'] %}
        coalesce(monthly.{{ name }}, 0) as {{ name }},
        {%- endfor %}
        last_day(months.period_start) <= as_of.as_of_date as is_complete
    from months
    cross join as_of
    left join monthly
        on
            months.channel = monthly.channel
            and months.source = monthly.source
            and months.period_start = monthly.month
),

final as (
    select
        month,
        {{ month_label('month') }} as month_label,
        channel,
        source,
        opt_ins,
        opt_outs,
        unsubscribed,
        complaints,
        hard_bounces,
        erased,
        net_growth,
        cast(
            sum(net_growth) over (partition by channel, source order by month rows unbounded preceding) as bigint
        ) as contactable_addresses,
        is_complete
    from filled
)

select * from final
