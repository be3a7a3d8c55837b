with cases as (
    select
        cast(50 as decimal(18, 4)) as average_order_value,
        4 as orders_a_year,
        5 as years_dividend,
        1 as years_divisor,
        1000 as clv

    union all

    select
        cast(24.30 as decimal(18, 4)) as average_order_value,
        52 as orders_a_year,
        20 as years_dividend,
        1 as years_divisor,
        25272 as clv

    union all

    -- 33.4534 × 3 × 100 / 37 is 271.243783..., 0.0001 × 1 × 101 / 202 is half of the last digit
    select
        cast(33.4534 as decimal(18, 4)) as average_order_value,
        3 as orders_a_year,
        100 as years_dividend,
        37 as years_divisor,
        271.2438 as clv

    union all

    select
        cast(0.0001 as decimal(18, 4)) as average_order_value,
        1 as orders_a_year,
        101 as years_dividend,
        202 as years_divisor,
        0.0001 as clv

    union all

    select
        cast(1000000000000 as decimal(18, 4)) as average_order_value,
        1 as orders_a_year,
        10 as years_dividend,
        1 as years_divisor,
        10000000000000 as clv
),

computed as (
    select
        *,
        {{ simple_clv('average_order_value', 'orders_a_year', 'years_dividend', 'years_divisor') }} as computed_clv
    from cases
)

select *
from computed
where computed_clv != clv
