with as_of as (
    select * from {{ ref('int_as_of') }}
),

settings as (
    select
        as_of_date,
        '{{ version() }}' as version,
        '{{ var("business_time_zone") }}' as business_time_zone,
        '{{ reporting_currency() }}' as reporting_currency,
        '{{ var("sources") | join(", ") }}' as sources,
        cast({{ var('active_days') }} as integer) as active_days,
        cast({{ var('loyal_min_orders') }} as integer) as loyal_min_orders,
        cast({{ var('min_group_size') }} as integer) as min_group_size
    from as_of
)

select * from settings
