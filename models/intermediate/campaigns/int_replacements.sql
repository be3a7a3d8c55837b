-- person × product that wears out, by the day on which a new one is due; returned orders wear nothing out
with order_lines as (
    select * from {{ ref('int_order_lines') }}
    where person_id is not null and not is_returned
),

products as (
    select * from {{ ref('int_products') }}
    where replacement_cycle_days is not null
),

erased_people as (
    select * from {{ ref('int_erased_people') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

last_purchases as (
    select
        person_id,
        product_key,
        max(order_date) as last_bought_on
    from order_lines
    where person_id not in (select erased_people.person_id from erased_people)
    group by person_id, product_key
),

due_days as (
    select
        last_purchases.person_id,
        last_purchases.product_key,
        products.product_name,
        last_purchases.last_bought_on,
        products.replacement_cycle_days,
        {{ add_days('last_purchases.last_bought_on', 'products.replacement_cycle_days') }} as due_on
    from last_purchases
    inner join products on last_purchases.product_key = products.product_key
),

judged as (
    select
        due_days.*,
        {{ days_between('as_of.as_of_date', 'due_days.due_on') }} as days_until_due,
        case
            when {{ days_between('as_of.as_of_date', 'due_days.due_on') }} > {{ var('replacement_lead_days') }} then 'not yet'
            when due_days.due_on >= as_of.as_of_date then 'due'
            when {{ days_between('due_days.due_on', 'as_of.as_of_date') }} <= {{ var('replacement_overdue_days') }} then 'overdue'
            else 'given up'
        end as replacement_status
    from due_days
    cross join as_of
),

final as (
    select
        *,
        replacement_status in ('due', 'overdue') as is_due,
        replacement_status in ('due', 'overdue')
        and row_number() over (
            partition by person_id, replacement_status in ('due', 'overdue')
            order by due_on, product_key
        ) = 1 as is_first_due
    from judged
)

select * from final
