-- people who asked to be erased under an address that is theirs alone, whatever the date; erased_at is when it took effect
with erasures as (
    select * from {{ ref('int_statements') }}
    where statement = 'erased' and channel = 'email'
),

-- a mailbox may be another person's
address_keys as (
    select * from {{ ref('int_address_keys') }}
    where people = 1 and key_type != 'mailbox'
),

erased as (
    select
        address_keys.person_id,
        min(coalesce(erasures.said_at, cast('0001-01-01' as timestamp))) as erased_at
    from erasures
    inner join address_keys on erasures.address_type = address_keys.key_type and erasures.address = address_keys.key
    group by address_keys.person_id
)

select * from erased
