-- every address that a person is known under, by its key
with identity_map as (
    select * from {{ ref('int_identity_map') }}
),

customers as (
    select * from {{ ref('stg_shop__customers') }}
),

profiles as (
    select * from {{ ref('int_profiles') }}
),

phone_keys as (
    select * from {{ ref('int_phone_keys') }}
),

unioned as (
    select
        person_id,
        'email' as address_type,
        email_key as address
    from identity_map
    where email_key is not null

    union all

    select
        person_id,
        'user_id' as address_type,
        source_id as address
    from identity_map
    where role = 'app'

    union all

    select
        identity_map.person_id,
        'phone' as address_type,
        phone_keys.phone_key as address
    from customers
    inner join identity_map
        on
            customers.customer_id = identity_map.source_id
            and customers.source_system = identity_map.source
            and identity_map.role = 'shop'
    inner join profiles on identity_map.person_id = profiles.person_id
    inner join phone_keys
        on
            customers.phone = phone_keys.phone
            and {{ phone_region('customers.country', 'profiles.country') }} = phone_keys.region
),

addresses as (
    select distinct
        person_id,
        address_type,
        address
    from unioned
    where address is not null
)

select * from addresses
