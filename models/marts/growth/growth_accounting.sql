-- every person-month is seen twice, as itself and as the month before the next one: one aggregation, no window
with orders as (
    select * from {{ ref('orders') }}
    where person_id is not null
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

person_months as (
    select
        person_id,
        cast(date_trunc('month', order_date) as date) as month,
        count(*) as orders,
        bool_or(is_first_order) as is_new,
        sum(gross_amount) as revenue,
        sum(net_amount) as net_revenue
    from orders
    group by person_id, date_trunc('month', order_date)
),

with_month_before as (
    select
        person_id,
        month,
        orders,
        is_new,
        revenue,
        net_revenue,
        0 as orders_before,
        0 as revenue_before
    from person_months

    union all

    select
        person_id,
        {{ next_month('month') }} as month,
        0 as orders,
        false as is_new,
        0 as revenue,
        0 as net_revenue,
        orders as orders_before,
        revenue as revenue_before
    from person_months
),

compared as (
    select
        month,
        sum(orders) as orders,
        sum(orders) > 0 as is_active,
        sum(orders_before) > 0 as was_active,
        bool_or(is_new) as is_new,
        sum(revenue) as revenue,
        sum(net_revenue) as net_revenue,
        sum(revenue_before) as revenue_before
    from with_month_before
    group by person_id, month
),

bounds as (
    select
        min(person_months.month) as first_month,
        max(as_of.as_of_date) as last_day
    from person_months
    cross join as_of
),

-- months in which nobody ordered are rows
months as (
    select {{ calendar('bounds.first_month', 'bounds.last_day', 'month') }}
    from bounds
),

counted as (
    select
        month,
        count_if(is_active) as active,
        count_if(is_new) as new,
        count_if(is_active and was_active) as retained,
        count_if(is_active and not was_active and not is_new) as resurrected,
        count_if(was_active and not is_active) as churned,
        sum(orders) as orders,
        sum(revenue) as revenue,
        sum(net_revenue) as net_revenue,
        sum(case when is_new then revenue end) as revenue_new,
        sum(case when is_active and not was_active and not is_new then revenue end) as revenue_resurrected,
        sum(case when is_active and was_active then greatest(revenue - revenue_before, 0) end) as revenue_expansion,
        sum(case when is_active and was_active then greatest(revenue_before - revenue, 0) end) as revenue_contraction,
        sum(case when was_active and not is_active then revenue_before end) as revenue_churned
    from compared
    group by month
),

filled as (
    select
        {%- for column in ['active', 'new', 'retained', 'resurrected', 'churned', 'orders'] %}
        cast(coalesce(counted.{{ column }}, 0) as bigint) as {{ column }},
        {%- endfor %}
        {%- for column in [
            'revenue', 'revenue_new', 'revenue_resurrected', 'revenue_expansion', 'revenue_contraction', 'revenue_churned',
            'net_revenue',
        ] %}
        {{ money('coalesce(counted.' ~ column ~ ', 0)') }} as {{ column }},
        {%- endfor %}
        months.period_start as month
    from months
    left join counted on months.period_start = counted.month
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
