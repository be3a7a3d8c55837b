with rfm_history as (
    select * from {{ ref('rfm_history') }}
),

rfm_segments as (
    select * from {{ ref('rfm_segments') }}
),

segments as (
    select distinct segment from rfm_segments
),

from_segments as (
    select segment from segments
    union all
    select 'first_order' as segment
),

months as (
    select distinct
        month,
        month_label,
        is_complete
    from rfm_history
),

moved as (
    select
        month,
        coalesce(previous_segment, 'first_order') as from_segment,
        segment as to_segment,
        count(*) as customers
    from rfm_history
    group by month, previous_segment, segment
),

final as (
    select
        months.month,
        months.month_label,
        from_segments.segment as from_segment,
        segments.segment as to_segment,
        'from: ' || replace(from_segments.segment, '_', ' ') as from_label,
        'to: ' || replace(segments.segment, '_', ' ') as to_label,
        coalesce(moved.customers, 0) as customers,
        months.is_complete
    from months
    cross join from_segments
    cross join segments
    left join moved
        on
            months.month = moved.month
            and from_segments.segment = moved.from_segment
            and segments.segment = moved.to_segment
)

select * from final
