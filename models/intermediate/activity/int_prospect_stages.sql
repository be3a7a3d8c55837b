-- person × moment at which somebody without an order becomes lead, engaged or evaluating
{%- set evaluating_days = var('evaluating_days') %}
with people as (
    select * from {{ ref('int_person_facts') }}
),

activity_days as (
    select * from {{ ref('int_activity_days') }}
    where events_count > 0
),

product_views as (
    select * from {{ ref('int_app_views') }}
),

identity_map as (
    select * from {{ ref('int_identity_map') }}
    where role = 'app'
),

orders as (
    select * from {{ ref('int_orders') }}
    where person_id is not null
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

first_orders as (
    select
        person_id,
        min(ordered_at) as first_ordered_at
    from orders
    group by person_id
),

prospects as (
    select
        people.person_id,
        people.first_seen_at,
        coalesce(first_orders.first_ordered_at, as_of.as_of_end) as until
    from people
    cross join as_of
    left join first_orders on people.person_id = first_orders.person_id
    where people.first_seen_at < coalesce(first_orders.first_ordered_at, as_of.as_of_end)
),

prospect_days as (
    select activity_days.*
    from activity_days
    inner join prospects
        on activity_days.person_id = prospects.person_id and activity_days.first_activity_at < prospects.until
),

views as (
    select
        prospects.person_id,
        product_views.occurred_at,
        lag(product_views.event_date, {{ var('evaluating_product_views') - 1 }}) over (
            partition by prospects.person_id
            order by product_views.occurred_at, product_views.event_id
        ) as window_opened_on,
        product_views.event_date
    from product_views
    inner join identity_map
        on product_views.source_system = identity_map.source and product_views.user_id = identity_map.source_id
    inner join prospects
        on identity_map.person_id = prospects.person_id and product_views.occurred_at < prospects.until
),

-- +1 when a reason begins, -1 when it ends: the running sums say which reasons hold
steps as (
    select
        person_id,
        first_seen_at as moment,
        0 as activity,
        0 as carts,
        0 as repeated_views
    from prospects

    union all

    select
        person_id,
        first_activity_at as moment,
        1 as activity,
        0 as carts,
        0 as repeated_views
    from prospect_days

    union all

    select
        person_id,
        cast({{ add_days('activity_date', var('active_days')) }} as timestamp) as moment,
        -1 as activity,
        0 as carts,
        0 as repeated_views
    from prospect_days

    union all

    select
        person_id,
        first_cart_at as moment,
        0 as activity,
        1 as carts,
        0 as repeated_views
    from prospect_days
    where first_cart_at is not null

    union all

    select
        person_id,
        cast({{ add_days('activity_date', evaluating_days) }} as timestamp) as moment,
        0 as activity,
        -1 as carts,
        0 as repeated_views
    from prospect_days
    where first_cart_at is not null

    union all

    select
        person_id,
        occurred_at as moment,
        0 as activity,
        0 as carts,
        1 as repeated_views
    from views
    where event_date < {{ add_days('window_opened_on', evaluating_days) }}

    union all

    select
        person_id,
        cast({{ add_days('window_opened_on', evaluating_days) }} as timestamp) as moment,
        0 as activity,
        0 as carts,
        -1 as repeated_views
    from views
    where event_date < {{ add_days('window_opened_on', evaluating_days) }}
),

moments as (
    select
        steps.person_id,
        steps.moment,
        sum(steps.activity) as activity,
        sum(steps.carts) as carts,
        sum(steps.repeated_views) as repeated_views
    from steps
    inner join prospects on steps.person_id = prospects.person_id and steps.moment < prospects.until
    group by steps.person_id, steps.moment
),

running as (
    select
        person_id,
        moment,
        sum(activity) over so_far as activity,
        sum(carts) over so_far as carts,
        sum(repeated_views) over so_far as repeated_views
    from moments
    window so_far as (partition by person_id order by moment)
),

stages as (
    select
        person_id,
        moment as entered_at,
        case
            when carts > 0 or repeated_views > 0 then 'evaluating'
            when activity > 0 then 'engaged'
            else 'lead'
        end as stage,
        case
            when carts > 0 then 'cart_or_checkout'
            when repeated_views > 0 then 'repeated_product_views'
            when activity > 0 then 'activity_within_active_days'
            else 'no_activity'
        end as rule
    from running
),

with_previous as (
    select
        *,
        lag(stage) over (partition by person_id order by entered_at) as previous_stage
    from stages
),

final as (
    select
        person_id,
        entered_at,
        stage,
        rule
    from with_previous
    where previous_stage is null or stage != previous_stage
)

select * from final
