-- everything that a source calls a customer, user, contact or guest, before it is known who is the same person
with customers as (
    select * from {{ ref('stg_shop__customers') }}
),

users as (
    select * from {{ ref('stg_app__users') }}
),

sessions as (
    select * from {{ ref('int_app_sessions') }}
),

contacts as (
    select * from {{ ref('stg_esp__contacts') }}
),

order_records as (
    select * from {{ ref('int_order_records') }}
    where not is_test
),

refund_records as (
    select * from {{ ref('int_refund_records') }}
    where customer_id is not null
),

-- a shop that does not say when an account was made: the first thing known of the customer is the first order
customers_by_order as (
    select
        order_records.record_key,
        min(order_records.ordered_at) as first_ordered_at
    from order_records
    inner join customers
        on order_records.source = customers.source_system and order_records.customer_id = customers.customer_id
    where customers.created_at is null
    group by order_records.record_key
),

registered as (
    select
        customers.source_system || ':customer:' || customers.customer_id as record_key,
        'shop' as role,
        customers.source_system as source,
        customers.customer_id as source_id,
        cast(null as string) as linked_key,
        customers.email,
        {{ name_key("coalesce(customers.first_name, '') || ' ' || coalesce(customers.last_name, '')") }} as person_name,
        {{ phone_digits('customers.phone') }} as phone,
        coalesce(customers.created_at, customers_by_order.first_ordered_at) as created_at,
        customers.created_at is null as is_undated,
        customers.source_system || ':customer:' || customers.customer_id as stable_key
    from customers
    left join customers_by_order
        on customers.source_system || ':customer:' || customers.customer_id = customers_by_order.record_key

    union all

    select
        source_system || ':user:' || user_id as record_key,
        'app' as role,
        source_system as source,
        user_id as source_id,
        {{ linked_record('app', 'users') }} as linked_key,
        email,
        cast(null as string) as person_name,
        cast(null as string) as phone,
        created_at,
        false as is_undated,
        source_system || ':user:' || user_id as stable_key
    from users

    union all

    select
        source_system || ':contact:' || contact_id as record_key,
        'esp' as role,
        source_system as source,
        contact_id as source_id,
        {{ linked_record('esp', 'contacts') }} as linked_key,
        email,
        cast(null as string) as person_name,
        cast(null as string) as phone,
        created_at,
        false as is_undated,
        source_system || ':contact:' || contact_id as stable_key
    from contacts
),

-- an address alone would be personal data inside an id: a guest is named after the first order
guests as (
    select
        record_key,
        'shop' as role,
        source,
        cast(null as string) as source_id,
        cast(null as string) as linked_key,
        min(email) as email,
        cast(null as string) as person_name,
        cast(null as string) as phone,
        min(ordered_at) as created_at,
        false as is_undated,
        source || ':guest_order:' || min_by(order_id, cast(ordered_at as string) || ' ' || order_id) as stable_key
    from order_records
    where customer_id is null and email_key is not null
    group by record_key, source, email_key
),

-- known only from what they did: ids without a record of their own
seen_in_orders as (
    select
        record_key,
        'shop' as role,
        source,
        customer_id as source_id,
        ordered_at as seen_at
    from order_records
    where customer_id is not null

    union all

    select
        record_key,
        'shop' as role,
        source,
        customer_id as source_id,
        cast(refund_date as timestamp) as seen_at
    from refund_records

    union all

    select
        source_system || ':user:' || user_id as record_key,
        'app' as role,
        source_system as source,
        user_id as source_id,
        min(first_activity_at) as seen_at
    from sessions
    group by source_system, user_id
),

unregistered as (
    select
        record_key,
        min(role) as role,
        min(source) as source,
        min(source_id) as source_id,
        cast(null as string) as linked_key,
        cast(null as string) as email,
        cast(null as string) as person_name,
        cast(null as string) as phone,
        min(seen_at) as created_at,
        false as is_undated,
        record_key as stable_key
    from seen_in_orders
    where record_key not in (select registered.record_key from registered)
    group by record_key
),

unioned as (
    select * from registered
    union all
    select * from guests
    union all
    select * from unregistered
),

keyed as (
    select
        *,
        {{ email_key('email') }} as email_key
    from unioned
)

select * from keyed
