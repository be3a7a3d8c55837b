with orders as (
    select * from {{ ref('orders') }}
    where person_id is not null
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

totals as (
    select
        cast(date_trunc('month', order_date) as date) as month,
        count(*) as orders,
        sum(gross_amount) as revenue,
        sum(net_amount) as net_revenue
    from orders
    group by date_trunc('month', order_date)
),

-- no more than the neighbours need: there are about as many of these as orders
person_months as (
    select
        person_id,
        cast(date_trunc('month', order_date) as date) as month,
        {{ money('sum(gross_amount)') }} as revenue
    from orders
    group by person_id, date_trunc('month', order_date)
),

neighbours as (
    select
        *,
        {{ next_month('month') }} as next_month,
        lag(month) over by_month as month_before,
        lag(revenue) over by_month as revenue_before,
        lead(month) over by_month as month_after
    from person_months
    window by_month as (partition by person_id order by month)
),

judged as (
    select
        month,
        next_month,
        revenue,
        revenue_before,
        month_before is null as is_new,
        coalesce({{ next_month('month_before') }} = month, false) as is_retained,
        coalesce(month_after != next_month, true) as churns_next_month
    from neighbours
),

bounds as (
    select
        min(totals.month) as first_month,
        max(as_of.as_of_date) as last_day
    from totals
    cross join as_of
),

-- months in which nobody ordered are rows
months as (
    select {{ calendar('bounds.first_month', 'bounds.last_day', 'month') }}
    from bounds
),

present as (
    select
        month,
        count(*) as active,
        count_if(is_new) as new,
        count_if(is_retained) as retained,
        count_if(not is_new and not is_retained) as resurrected,
        sum(case when is_new then revenue end) as revenue_new,
        sum(case when not is_new and not is_retained then revenue end) as revenue_resurrected,
        sum(case when is_retained then greatest(revenue - revenue_before, 0) end) as revenue_expansion,
        sum(case when is_retained then greatest(revenue_before - revenue, 0) end) as revenue_contraction
    from judged
    group by month
),

gone as (
    select
        next_month as month,
        count(*) as churned,
        sum(revenue) as revenue_churned
    from judged
    where churns_next_month
    group by next_month
),

filled as (
    select
        {%- for column in ['active', 'new', 'retained', 'resurrected'] %}
        cast(coalesce(present.{{ column }}, 0) as bigint) as {{ column }},
        {%- endfor %}
        {%- for column in ['revenue_new', 'revenue_resurrected', 'revenue_expansion', 'revenue_contraction'] %}
        {{ money('coalesce(present.' ~ column ~ ', 0)') }} as {{ column }},
        {%- endfor %}
        coalesce(totals.orders, 0) as orders,
        {{ money('coalesce(totals.revenue, 0)') }} as revenue,
        {{ money('coalesce(totals.net_revenue, 0)') }} as net_revenue,
        coalesce(gone.churned, 0) as churned,
        {{ money('coalesce(gone.revenue_churned, 0)') }} as revenue_churned,
        months.period_start as month
    from months
    left join totals on months.period_start = totals.month
    left join present on months.period_start = present.month
    left join gone on months.period_start = gone.month
),

final as (
    select
        filled.month,
        {{ month_label('filled.month') }} as month_label,
        filled.active,
        filled.new,
        filled.retained,
        filled.resurrected,
        filled.churned,
        {{ ratio('filled.retained', 'filled.retained + filled.churned') }} as retention_rate,
        {{ ratio('filled.new + filled.resurrected', 'filled.churned') }} as quick_ratio,
        filled.orders,
        filled.revenue,
        filled.revenue_new,
        filled.revenue_resurrected,
        filled.revenue_expansion,
        filled.revenue_contraction,
        filled.revenue_churned,
        filled.net_revenue,
        last_day(filled.month) <= as_of.as_of_date as is_complete
    from filled
    cross join as_of
)

select * from final
