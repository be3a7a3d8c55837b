{%- set ages = [0, 30, 60, 90, 180, 360, 720] -%}
{%- set dimension = var('cohort_dimension') -%}
{%- set month = month_label('first_order_date') -%}
{#- type of cohort: its label, its month, its value of the dimension -#}
{%- set types = {
    'month': (month, month, 'null'),
    dimension: ('dimension_value', 'null', 'dimension_value'),
    'month and ' ~ dimension: (month ~ " || ' / ' || dimension_value", month, 'dimension_value'),
} -%}
with customers as (
    select * from {{ ref('customers') }}
    where is_customer
),

first_categories as (
    select * from {{ ref('int_first_categories') }}
),

orders as (
    select * from {{ ref('orders') }}
    where person_id is not null
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

ages as (
    select listed.age_days
    from (
        values
        {%- for age in ages %}
        ({{ age }}){{ ',' if not loop.last }}
        {%- endfor %}
    ) as listed (age_days)
),

described as (
    select
        customers.person_id,
        customers.first_order_date,
        customers.acquisition_channel,
        customers.country,
        first_categories.category as first_category
    from customers
    left join first_categories on customers.person_id = first_categories.person_id
),

members as (
    select
        person_id,
        first_order_date,
        coalesce({{ dimension }}, 'unknown') as dimension_value
    from described
),

-- members who began on the same day are eligible for the same ages: people and orders are counted once per such day
starters as (
    select
        first_order_date,
        dimension_value,
        count(*) as customers
    from members
    group by first_order_date, dimension_value
),

-- an order counts at every age from `from_age` on
order_ages as (
    select
        members.first_order_date,
        members.dimension_value,
        orders.gross_amount,
        orders.net_amount,
        case
            {%- for age in ages %}
            when orders.order_date <= {{ add_days('members.first_order_date', age) }} then {{ age }}
            {%- endfor %}
        end as from_age
    from orders
    inner join members on orders.person_id = members.person_id
),

revenue as (
    select
        first_order_date,
        dimension_value,
        from_age,
        sum(gross_amount) as gross_revenue,
        sum(net_amount) as net_revenue
    from order_ages
    where from_age is not null
    group by first_order_date, dimension_value, from_age
),

all_types as (
    {%- for type, (cohort, cohort_month, dimension_value) in types.items() %}
    select
        '{{ type }}' as cohort_type,
        {{ cohort }} as cohort,
        cast({{ cohort_month }} as string) as cohort_month,
        cast({{ dimension_value }} as string) as dimension_value,
        first_order_date,
        0 as from_age,
        customers,
        0 as gross_revenue,
        0 as net_revenue
    from starters

    union all

    select
        '{{ type }}' as cohort_type,
        {{ cohort }} as cohort,
        cast({{ cohort_month }} as string) as cohort_month,
        cast({{ dimension_value }} as string) as dimension_value,
        first_order_date,
        from_age,
        0 as customers,
        gross_revenue,
        net_revenue
    from revenue
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

counted as (
    select
        all_types.cohort_type,
        all_types.cohort,
        all_types.cohort_month,
        all_types.dimension_value,
        ages.age_days,
        as_of.as_of_date >= {{ add_days('all_types.first_order_date', 'ages.age_days') }} as is_eligible,
        all_types.from_age <= ages.age_days as is_reached,
        all_types.customers,
        all_types.gross_revenue,
        all_types.net_revenue
    from all_types
    cross join ages
    cross join as_of
),

cells as (
    select
        cohort_type,
        cohort,
        cohort_month,
        dimension_value,
        cast(age_days as integer) as age_days,
        cast(sum(customers) as bigint) as customers,
        cast(sum(case when is_eligible then customers else 0 end) as bigint) as eligible_customers,
        {{ money('sum(case when is_eligible and is_reached then gross_revenue else 0 end)') }} as gross_revenue,
        {{ money('sum(case when is_eligible and is_reached then net_revenue else 0 end)') }} as net_revenue
    from counted
    group by cohort_type, cohort, cohort_month, dimension_value, age_days
),

final as (
    select
        cohort_type,
        cohort,
        cohort_month,
        dimension_value,
        age_days,
        customers,
        eligible_customers,
        {{ ratio('eligible_customers', 'customers') }} as eligible_share,
        gross_revenue,
        net_revenue,
        {{ money_per('gross_revenue', 'eligible_customers') }} as gross_revenue_per_customer,
        {{ money_per('net_revenue', 'eligible_customers') }} as net_revenue_per_customer,
        eligible_customers = customers as is_complete
    from cells
)

select * from final
