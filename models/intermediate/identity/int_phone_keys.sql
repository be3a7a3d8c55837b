-- phone as written × region by whose rules it is read: what it is compared by, and what is written of it
with customers as (
    select * from {{ ref('stg_shop__customers') }}
    where phone is not null
),

identity_map as (
    select * from {{ ref('int_identity_map') }}
    where role = 'shop' and source_id is not null
),

profiles as (
    select * from {{ ref('int_profiles') }}
),

consents as (
    select * from {{ ref('stg_esp__consents') }}
),

suppressions as (
    select * from {{ ref('stg_esp__suppressions') }}
),

-- who says yes or no has no country here
numbers as (
    select
        customers.phone,
        {{ phone_region('customers.country', 'profiles.country') }} as region
    from customers
    inner join identity_map
        on customers.source_system = identity_map.source and customers.customer_id = identity_map.source_id
    inner join profiles on identity_map.person_id = profiles.person_id

    union all

    select
        phone,
        phone_region as region
    from profiles

    union all

    select
        phone,
        '' as region
    from consents

    union all

    select
        phone,
        '' as region
    from suppressions
),

keys as (
    {{ phone_keys('numbers') }} -- noqa: PRS
)

select * from keys
