with cases as (
    select
        cast(50 as decimal(18, 4)) as average_order_value,
        4 as orders_a_year,
        cast(5 as double) as years,
        1000 as clv

    union all

    select
        cast(24.30 as decimal(18, 4)) as average_order_value,
        52 as orders_a_year,
        cast(20 as double) as years,
        25272 as clv
),

computed as (
    select
        *,
        {{ simple_clv('average_order_value', 'orders_a_year', 'years') }} as computed_clv
    from cases
)

select *
from computed
where computed_clv != clv
