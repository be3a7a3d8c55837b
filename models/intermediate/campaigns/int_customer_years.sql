-- one row: for how many years a customer stays; 1 / yearly churn is the mean of a life that may end every year
with order_days as (
    select * from {{ ref('int_order_days') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

-- whoever bought in the year before last year, and whether in the last year as well
customers as (
    select
        order_days.person_id,
        bool_or(order_days.order_date > {{ add_days('as_of.as_of_date', -365) }}) as has_stayed
    from order_days
    cross join as_of
    where order_days.order_date > {{ add_days('as_of.as_of_date', -730) }}
    group by order_days.person_id
    having
        bool_or(order_days.order_date <= {{ add_days('as_of.as_of_date', -365) }})
),

churn as (
    select
        count(*) as sample_customers,
        {{ ratio('count_if(not has_stayed)', 'count(*)') }} as yearly_churn
    from customers
),

-- no more than ten years: few shops are old enough to have seen more
measured as (
    select
        *,
        case when sample_customers >= 100 then least(coalesce(1 / nullif(yearly_churn, 0), 10), 10) end as measured_years
    from churn
),

final as (
    select
        cast(coalesce({{ var('customer_years') or 'null' }}, measured_years, 3) as double) as customer_years,
        {{ "'variable'" if var('customer_years') else "case when measured_years is null then 'default' else 'data' end" }}
            as source,
        yearly_churn,
        sample_customers
    from measured
)

select * from final
