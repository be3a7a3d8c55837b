-- people who asked to be erased under any of their addresses, whatever the date; erased_at is when it took effect
with suppressions as (
    select * from {{ ref('int_suppressions') }}
    where reason = 'erased'
),

addresses as (
    select * from {{ ref('int_person_addresses') }}
),

erased as (
    select
        addresses.person_id,
        min(coalesce(suppressions.suppressed_at, cast('0001-01-01' as timestamp))) as erased_at
    from addresses
    inner join suppressions
        on addresses.address_type = suppressions.address_type and addresses.address = suppressions.address
    group by addresses.person_id
)

select * from erased
