-- customer × what they brought and, simply, will have brought; who has not bought for a year is worth nothing more
with people as (
    select * from {{ ref('int_person_facts') }}
    where orders_count > 0
),

erased_people as (
    select * from {{ ref('int_erased_people') }}
),

orders as (
    select * from {{ ref('int_orders') }}
    where person_id is not null
),

customer_years as (
    select * from {{ ref('int_customer_years') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

orders_of_a_year as (
    select
        orders.person_id,
        count(*) as orders_a_year
    from orders
    cross join as_of
    where orders.order_date > {{ add_days('as_of.as_of_date', -365) }}
    group by orders.person_id
),

measured as (
    select
        people.person_id,
        people.net_revenue as historic_value,
        {{ money_per('people.net_revenue', 'people.orders_count') }} as average_order_value,
        coalesce(orders_of_a_year.orders_a_year, 0) as orders_a_year,
        customer_years.customer_years,
        customer_years.years_dividend,
        customer_years.years_divisor
    from people
    cross join customer_years
    left join orders_of_a_year on people.person_id = orders_of_a_year.person_id
    where people.person_id not in (select erased_people.person_id from erased_people)
),

final as (
    select
        person_id,
        historic_value,
        average_order_value,
        orders_a_year,
        customer_years,
        {{ simple_clv('average_order_value', 'orders_a_year', 'years_dividend', 'years_divisor') }} as simple_clv
    from measured
)

select * from final
