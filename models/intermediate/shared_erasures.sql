-- erasure by an address of several people × each of them: it blocks the address and erases nobody, until one is erased by id
{{ config(materialized='view') }}
with erasures as (
    select * from {{ ref('int_statements') }}
    where statement = 'erased' and channel = 'email'
),

address_keys as (
    select * from {{ ref('int_address_keys') }}
    where people > 1 and key_type != 'mailbox'
),

addresses as (
    select * from {{ ref('int_person_addresses') }}
),

erased_people as (
    select * from {{ ref('int_erased_people') }}
),

profiles as (
    select * from {{ ref('int_profiles') }}
),

asked as (
    select
        address_type,
        address,
        case when count(said_at) = count(*) then min(said_at) end as erased_at
    from erasures
    group by address_type, address
),

owners as (
    select
        asked.address_type,
        asked.address,
        asked.erased_at,
        addresses.person_id,
        erased_people.person_id is not null as is_erased
    from asked
    inner join address_keys on asked.address_type = address_keys.key_type and asked.address = address_keys.key
    inner join addresses
        on address_keys.address_type = addresses.address_type and address_keys.address = addresses.address
    left join erased_people on addresses.person_id = erased_people.person_id
),

settled as (
    select
        address_type,
        address
    from owners
    group by address_type, address
    having bool_or(is_erased)
),

final as (
    select
        owners.address_type,
        owners.address,
        owners.erased_at,
        owners.person_id,
        profiles.primary_customer_id,
        profiles.app_user_id
    from owners
    inner join profiles on owners.person_id = profiles.person_id
    left join settled on owners.address_type = settled.address_type and owners.address = settled.address
    where settled.address is null
)

select * from final
