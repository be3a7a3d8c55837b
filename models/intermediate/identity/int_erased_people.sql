-- people who asked to be erased under an address that is theirs alone, whatever the date, and whom the state has as erased;
-- erased_at is when it took effect
with erasures as (
    select * from {{ ref('int_statements') }}
    where statement = 'erased' and channel = 'email'
),

-- a mailbox may be another person's
address_keys as (
    select * from {{ ref('int_address_keys') }}
    where people = 1 and key_type != 'mailbox'
),

known as (
    select * from {{ ref('int_erasures') }}
),

identity_map as (
    select * from {{ ref('int_identity_map') }}
),

unioned as (
    select
        address_keys.person_id,
        coalesce(erasures.said_at, cast('0001-01-01' as timestamp)) as erased_at
    from erasures
    inner join address_keys on erasures.address_type = address_keys.key_type and erasures.address = address_keys.key

    union all

    select
        known.person_id,
        known.erased_at
    from known
    inner join identity_map on known.person_id = identity_map.person_id
),

erased as (
    select
        person_id,
        min(erased_at) as erased_at
    from unioned
    group by person_id
)

select * from erased
