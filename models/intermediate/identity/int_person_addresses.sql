-- every address that a person is known under, for consent and suppression
with identity_map as (
    select * from {{ ref('int_identity_map') }}
),

customers as (
    select * from {{ ref('stg_shop__customers') }}
),

unioned as (
    select
        person_id,
        'email' as address_type,
        email as address
    from identity_map
    where email is not null

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
        {{ normalised_phone('customers.phone') }} as address
    from customers
    inner join identity_map
        on
            customers.customer_id = identity_map.source_id
            and customers.source_system = identity_map.source
            and identity_map.role = 'shop'
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
