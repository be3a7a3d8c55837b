with benchmarks as (
    select * from {{ ref('lifecycle_benchmarks') }}
),

people as (
    select * from {{ ref('int_person_facts') }}
),

orders as (
    select * from {{ ref('orders') }}
    where person_id is not null
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

-- as they stood before the last active_days: who registered since is in neither group
before_the_window as (
    select
        coalesce(people.first_order_date < as_of.active_since, false) as was_customer,
        coalesce(people.last_order_date >= as_of.active_since, false) as has_ordered
    from people
    cross join as_of
    where people.first_seen_at < as_of.active_since
),

measures as (
    select
        'existing_customers_who_ordered' as measure,
        'Share of those who were customers {{ var("active_days") }} days ago who have ordered since' as measured_as,
        {{ ratio('count_if(has_ordered)', 'count(*)') }} as measured_value,
        count(*) as sample_size
    from before_the_window
    where was_customer

    union all

    select
        'prospects_who_ordered' as measure,
        'Share of those who had never ordered {{ var("active_days") }} days ago who have ordered since' as measured_as,
        {{ ratio('count_if(has_ordered)', 'count(*)') }} as measured_value,
        count(*) as sample_size
    from before_the_window
    where not was_customer

    union all

    select
        'repeat_order_value_uplift' as measure,
        'Average net value of a repeat order over that of a first order, less 1' as measured_as,
        {{ ratio(
            ratio('sum(case when not is_first_order then net_amount end)', 'count_if(not is_first_order)'),
            ratio('sum(case when is_first_order then net_amount end)', 'count_if(is_first_order)')
        ) }} - 1 as measured_value,
        count_if(not is_first_order) as sample_size
    from orders
),

final as (
    select
        benchmarks.position,
        benchmarks.benchmark,
        benchmarks.label,
        benchmarks.unit,
        benchmarks.low as benchmark_low,
        benchmarks.high as benchmark_high,
        measures.measured_value,
        cast(coalesce(measures.sample_size, 0) as bigint) as sample_size,
        case
            when measures.measured_value is null then 'not measured'
            when measures.measured_value < benchmarks.low then 'below'
            when measures.measured_value > benchmarks.high then 'above'
            else 'within'
        end as comparison,
        coalesce(measures.measured_as, 'Not measured') as measured_as,
        benchmarks.evidence,
        benchmarks.source,
        benchmarks.caveat
    from benchmarks
    left join measures on benchmarks.measure = measures.measure
)

select * from final
