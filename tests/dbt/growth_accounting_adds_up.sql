-- month to month, for people and revenue, and against the orders themselves
with months as (
    select
        *,
        coalesce(lag(active) over (order by month), 0) as active_before,
        coalesce(lag(revenue) over (order by month), 0) as revenue_before,
        lag(month) over (order by month) as month_before
    from {{ ref('growth_accounting') }}
),

orders as (
    select
        date_trunc('month', order_date) as month,
        count(distinct person_id) as active,
        count(case when is_first_order then 1 end) as new,
        sum(gross_amount) as revenue,
        sum(net_amount) as net_revenue
    from {{ ref('orders') }}
    where person_id is not null
    group by date_trunc('month', order_date)
)

select coalesce(months.month, orders.month) as month
from months
full join orders on months.month = orders.month
where
    months.month is null
    or months.active != months.new + months.retained + months.resurrected
    or months.active_before != months.retained + months.churned
    or months.revenue
    != months.revenue_before + months.revenue_new + months.revenue_resurrected
    + months.revenue_expansion - months.revenue_contraction - months.revenue_churned
    or months.month != coalesce({{ next_month('months.month_before') }}, months.month)
    or months.active != coalesce(orders.active, 0)
    or months.new != coalesce(orders.new, 0)
    or months.revenue != coalesce(orders.revenue, 0)
    or months.net_revenue != coalesce(orders.net_revenue, 0)
