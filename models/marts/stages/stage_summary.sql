with lifecycle_stages as (
    select * from {{ ref('lifecycle_stages') }}
),

customers as (
    select * from {{ ref('customers') }}
),

counted as (
    select
        lifecycle_stages.position,
        lifecycle_stages.stage,
        lifecycle_stages.label,
        count(customers.person_id) as people,
        {{ money('coalesce(sum(customers.gross_revenue), 0)') }} as gross_revenue,
        {{ money('coalesce(sum(customers.net_revenue), 0)') }} as net_revenue
    from lifecycle_stages
    left join customers on lifecycle_stages.stage = customers.stage
    group by lifecycle_stages.position, lifecycle_stages.stage, lifecycle_stages.label
),

final as (
    select
        position,
        stage,
        label,
        people,
        {{ ratio('people', 'sum(people) over ()') }} as share,
        gross_revenue,
        net_revenue
    from counted
)

select * from final
