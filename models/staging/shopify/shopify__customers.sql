with customers as (
    select * from {{ ref('base_shopify__customer') }}
    where row_status = 'staged'
),

customer_addresses as (
    select * from {{ ref('base_shopify__customer_address') }}
    where row_status = 'staged'
),

exported as (
    select * from {{ ref('base_shopify__customers_export') }}
    where row_status = 'staged'
),

-- REST names the default address in the customer, GraphQL marks it
default_addresses as (
    select customer_addresses.*
    from customer_addresses
    inner join customers on customer_addresses.customer_id = customers.id
    where
        customer_addresses.id = customers.default_address_id
        or (customers.default_address_id is null and customer_addresses.is_default)
    qualify row_number() over (partition by customer_addresses.customer_id order by customer_addresses.id) = 1
),

loaded as (
    select
        -- ids
        customers.id as customer_id,
        -- text
        customers.email,
        customers.phone,
        customers.first_name,
        customers.last_name,
        coalesce(default_addresses.country_code, customers.country_code) as country,
        coalesce(default_addresses.province_code, customers.province_code) as region,
        coalesce(default_addresses.city, customers.city) as city,
        coalesce(default_addresses.zip, customers.zip) as postal_code,
        -- timestamps
        customers.created_at,
        customers.updated_at
    from customers
    left join default_addresses on customers.id = default_addresses.customer_id
),

-- the export writes an apostrophe before what a spreadsheet would take for a number, and no dates
from_export as (
    select
        -- ids
        replace(customer_id, '''', '') as customer_id,
        -- text
        email,
        replace(phone, '''', '') as phone,
        first_name,
        last_name,
        country_code as country,
        province_code as region,
        city,
        replace(zip, '''', '') as postal_code,
        -- timestamps
        cast(null as timestamp) as created_at,
        cast(null as timestamp) as updated_at
    from exported
),

unioned as (
    select * from loaded
    union all
    select * from from_export
)

select * from unioned
