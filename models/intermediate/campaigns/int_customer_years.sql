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
        count(case when not has_stayed then 1 end) as lost_customers
    from customers
),

judged as (
    select
        *,
        case
            when {{ 'true' if var('customer_years') else 'false' }} then 'variable'
            when sample_customers >= 100 then 'data'
            else 'default'
        end as source
    from churn
),

-- a fraction of two numbers; no more than ten years: few shops are old enough to have seen more
years as (
    select
        *,
        cast(
            case
                when source = 'variable' then {{ var('customer_years') or 'null' }}
                when source = 'default' then 3
                when sample_customers > 10 * lost_customers then 10
                else sample_customers
            end as decimal(18, 4)
        ) as years_dividend,
        case when source = 'data' and sample_customers <= 10 * lost_customers then lost_customers else 1 end as years_divisor
    from judged
),

final as (
    select
        {{ ratio('years_dividend', 'years_divisor') }} as customer_years,
        years_dividend,
        years_divisor,
        source,
        {{ ratio('lost_customers', 'sample_customers') }} as yearly_churn,
        sample_customers
    from years
)

select * from final
