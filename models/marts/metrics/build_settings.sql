with as_of as (
    select * from {{ ref('int_as_of') }}
),

final as (
    select
        as_of_date,
        active_since,
        '{{ var("reporting_currency") }}' as reporting_currency,
        '{{ var("business_time_zone") }}' as business_time_zone,
        '{{ var("sources") | join(", ") }}' as sources,
        {{ var('loyal_min_orders') }} as loyal_min_orders,
        {{ var('active_days') }} as active_days,
        {{ var('min_group_size') }} as min_group_size
    from as_of
)

select * from final
