with orders as (
    select * from {{ ref('orders') }}
    where person_id is not null
),

int_months as (
    select * from {{ ref('int_months') }}
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

-- months in which nobody ordered are rows
months as (
    select *
    from int_months
    where month >= (select min(totals.month) from totals)
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
        months.month,
        months.is_complete
    from months
    left join totals on months.month = totals.month
    left join present on months.month = present.month
    left join gone on months.month = gone.month
),

final as (
    select
        month,
        {{ month_label('month') }} as month_label,
        active,
        new,
        retained,
        resurrected,
        churned,
        {{ ratio('retained', 'retained + churned') }} as retention_rate,
        {{ ratio('new + resurrected', 'churned') }} as quick_ratio,
        orders,
        revenue,
        revenue_new,
        revenue_resurrected,
        revenue_expansion,
        revenue_contraction,
        revenue_churned,
        net_revenue,
        is_complete
    from filled
)

select * from final
