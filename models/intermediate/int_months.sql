with people as (
    select * from {{ ref('int_person_facts') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

bounds as (
    select
        cast(date_trunc('month', min(people.first_seen_at)) as date) as first_month,
        max(as_of.as_of_date) as last_day
    from people
    cross join as_of
),

months as (
    select {{ calendar('bounds.first_month', 'bounds.last_day', 'month') }}
    from bounds
),

final as (
    select
        months.period_start as month,
        least(last_day(months.period_start), as_of.as_of_date) as month_end,
        last_day(months.period_start) <= as_of.as_of_date as is_complete
    from months
    cross join as_of
)

select * from final
