-- the three rates and the stocks, recomputed from customers, equal the last day of lifecycle_metrics
with recomputed as (
    select
        count(*) as users,
        count_if(is_customer) as customers,
        count_if(is_repeat_customer) as repeat_customers,
        count_if(is_loyal_customer) as loyal_customers,
        count_if(is_active_30d) as active_users,
        count_if(is_customer) / nullif(count(*), 0) as user_activation_rate,
        count_if(is_repeat_customer) / nullif(count_if(is_customer), 0) as repeat_customer_rate,
        count_if(is_loyal_customer) / nullif(count_if(is_repeat_customer), 0) as loyal_customer_rate
    from {{ ref('customers') }}
    having count(*) > 0
),

last_day as (
    select
        metrics.users,
        metrics.customers,
        metrics.repeat_customers,
        metrics.loyal_customers,
        metrics.active_users,
        metrics.user_activation_rate,
        metrics.repeat_customer_rate,
        metrics.loyal_customer_rate
    from {{ ref('lifecycle_metrics') }} as metrics
    inner join {{ ref('int_as_of') }} as as_of on metrics.metric_date = as_of.as_of_date
)

select recomputed.*
from recomputed
left join last_day
    on
        recomputed.users = last_day.users
        and recomputed.customers = last_day.customers
        and recomputed.repeat_customers = last_day.repeat_customers
        and recomputed.loyal_customers = last_day.loyal_customers
        and recomputed.active_users = last_day.active_users
        and recomputed.user_activation_rate is not distinct from last_day.user_activation_rate
        and recomputed.repeat_customer_rate is not distinct from last_day.repeat_customer_rate
        and recomputed.loyal_customer_rate is not distinct from last_day.loyal_customer_rate
where last_day.users is null
