with orders as (
    select * from {{ ref('base_shopify__order') }}
    where row_status = 'staged' and not coalesce(_fivetran_deleted, false)
),

discount_codes as (
    select * from {{ ref('base_shopify__order_discount_code') }}
    where row_status = 'staged'
),

exported_orders as (
    select
        *,
        {{ email_key('email_id') }} as email_key
    from {{ ref('base_shopify__orders_export') }}
    where row_status = 'staged' and id is not null
),

exported_customers as (
    select * from {{ ref('base_shopify__customers_export') }}
    where row_status = 'staged'
),

refunds as (
    select * from {{ ref('shopify__refunds') }}
),

refunded_orders as (
    select distinct order_id
    from refunds
),

first_codes as (
    select
        order_id,
        min_by(code, index) as code
    from discount_codes
    where code is not null
    group by order_id
),

-- an exported order names no customer, but an address
known_emails as (
    select
        {{ email_key('email_id') }} as email_key,
        min(customer_id) as customer_id
    from exported_customers
    where email is not null
    group by {{ email_key('email_id') }}
),

loaded as (
    select
        orders.id as order_id,
        orders.customer_id,
        orders.email,
        orders.phone,
        orders.billing_address_name as customer_name,
        orders.financial_status,
        orders.cancelled_at,
        orders.currency,
        orders.source_name,
        first_codes.code as coupon_code,
        orders.total_price,
        coalesce(orders.total_discounts, 0) as discount_amount,
        orders.test as is_test,
        -- an order taken over from another system has the day of the import as created_at
        coalesce(orders.processed_at, orders.created_at) as ordered_at,
        orders.updated_at
    from orders
    left join first_codes on orders.id = first_codes.order_id
),

from_export as (
    select
        replace(exported_orders.id, '''', '') as order_id,
        replace(known_emails.customer_id, '''', '') as customer_id,
        exported_orders.email,
        replace(exported_orders.phone, '''', '') as phone,
        exported_orders.billing_name as customer_name,
        exported_orders.financial_status,
        exported_orders.cancelled_at,
        exported_orders.currency,
        exported_orders.source as source_name,
        exported_orders.discount_code as coupon_code,
        exported_orders.total as total_price,
        coalesce(exported_orders.discount_amount, 0) as discount_amount,
        lower(exported_orders.payment_method) like '%bogus%' as is_test,
        exported_orders.created_at as ordered_at,
        {{ latest_known(
            'exported_orders.created_at',
            ['exported_orders.paid_at', 'exported_orders.fulfilled_at', 'exported_orders.cancelled_at']
        ) }} as updated_at
    from exported_orders
    left join known_emails on exported_orders.email_key = known_emails.email_key
),

unioned as (
    select * from loaded
    union all
    select * from from_export
),

mapped as (
    select
        -- ids
        unioned.order_id,
        unioned.customer_id,
        -- text
        unioned.email,
        unioned.phone,
        unioned.customer_name,
        case when unioned.cancelled_at is not null then 'cancelled' else lower(unioned.financial_status) end as status,
        unioned.currency,
        -- staff write drafts for who calls or mails; numbers are sales channels, mostly marketplaces and other sites
        case unioned.source_name
            when 'pos' then 'store'
            when 'shopify_draft_order' then 'phone'
            else 'web'
        end as order_channel,
        unioned.coupon_code,
        -- numerics: all-in, so that a full refund leaves 0
        {{ money('unioned.total_price + unioned.discount_amount') }} as gross_amount,
        unioned.discount_amount,
        -- booleans
        unioned.is_test,
        refunded_orders.order_id is null as refunds_by_status,
        -- timestamps
        unioned.ordered_at,
        unioned.updated_at
    from unioned
    left join refunded_orders on unioned.order_id = refunded_orders.order_id
)

select * from mapped
