-- everything that a source calls a customer, user, contact or guest, before it is known who is the same person
with customers as (
    select * from {{ ref('stg_shop__customers') }}
),

users as (
    select * from {{ ref('stg_app__users') }}
),

events as (
    select * from {{ ref('stg_app__events') }}
),

contacts as (
    select * from {{ ref('stg_esp__contacts') }}
),

shop_orders as (
    select * from {{ ref('stg_shop__orders') }}
    where not is_test
),

order_records as (
    select * from {{ ref('int_order_records') }}
    where record_key is not null and not is_test
),

refund_records as (
    select * from {{ ref('int_refund_records') }}
    where record_key is not null
),

registered as (
    select
        'shop:customer:' || customer_id as record_key,
        'shop' as source,
        customer_id as source_id,
        cast(null as string) as linked_key,
        email,
        created_at,
        'shop:customer:' || customer_id as stable_key
    from customers

    union all

    select
        'app:user:' || user_id as record_key,
        'app' as source,
        user_id as source_id,
        'shop:customer:' || customer_id as linked_key,
        email,
        created_at,
        'app:user:' || user_id as stable_key
    from users

    union all

    select
        'esp:contact:' || contact_id as record_key,
        'esp' as source,
        contact_id as source_id,
        'shop:customer:' || customer_id as linked_key,
        email,
        created_at,
        'esp:contact:' || contact_id as stable_key
    from contacts
),

-- an address alone would be personal data inside an id: a guest is named after the first order
guests as (
    select
        'shop:guest:' || email as record_key,
        'shop' as source,
        cast(null as string) as source_id,
        cast(null as string) as linked_key,
        email,
        min(ordered_at) as created_at,
        'shop:guest_order:' || min_by(order_id, cast(ordered_at as string) || ' ' || order_id) as stable_key
    from shop_orders
    where customer_id is null and email is not null
    group by email
),

-- known only from what they did: ids without a record of their own
seen_in_orders as (
    select
        record_key,
        source,
        substr(record_key, length(source || ':customer:') + 1) as source_id,
        ordered_at as seen_at
    from order_records
    where record_key not like 'shop:guest:%'

    union all

    select
        record_key,
        source,
        substr(record_key, length(source || ':customer:') + 1) as source_id,
        cast(refund_date as timestamp) as seen_at
    from refund_records

    union all

    select
        'app:user:' || user_id as record_key,
        'app' as source,
        user_id as source_id,
        min(occurred_at) as seen_at
    from events
    where user_id not in (select users.user_id from users)
    group by user_id
),

unregistered as (
    select
        record_key,
        min(source) as source,
        min(source_id) as source_id,
        cast(null as string) as linked_key,
        cast(null as string) as email,
        min(seen_at) as created_at,
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
)

select * from unioned
