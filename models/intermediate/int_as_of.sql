-- the one clock of the project: a stray row from the future moves nothing
with orders as (
    select * from {{ ref('int_order_records') }}
    where is_counted
),

sessions as (
    select * from {{ ref('int_app_sessions') }}
),

business_days as (
    select max(order_date) as last_day
    from orders
    where order_date < {{ run_date() }}

    union all

    select max(event_date) as last_day
    from sessions
    where event_date < {{ run_date() }}
),

as_of as (
    select
        coalesce(
            {{ "cast('" ~ var('as_of_date') ~ "' as date)" if var('as_of_date') is not none else 'null' }},
            max(last_day),
            {{ add_days(run_date(), -1) }}
        ) as as_of_date
    from business_days
),

with_bounds as (
    select
        as_of_date,
        cast({{ add_days('as_of_date', 1) }} as timestamp) as as_of_end,
        {{ add_days('as_of_date', '1 - ' ~ var('active_days')) }} as active_since
    from as_of
)

select * from with_bounds
