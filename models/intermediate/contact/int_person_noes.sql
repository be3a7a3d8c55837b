-- address of a person × channel × no that meets it, under whatever spelling, and how many people it may mean
with addresses as (
    select * from {{ ref('int_person_addresses') }}
),

address_keys as (
    select * from {{ ref('int_address_keys') }}
),

suppressions as (
    select * from {{ ref('int_suppressions') }}
),

consent_states as (
    select * from {{ ref('int_consent_states') }}
),

person_keys as (
    select
        addresses.person_id,
        address_keys.address_type,
        address_keys.address,
        address_keys.key_type,
        address_keys.key,
        address_keys.people
    from addresses
    inner join address_keys
        on addresses.address_type = address_keys.address_type and addresses.address = address_keys.address
),

said_no as (
    select
        address_type,
        address,
        channel,
        reason,
        suppressed_at as said_at,
        cast(null as timestamp) as said_at_utc
    from suppressions

    union all

    select
        address_type,
        address,
        channel,
        'opted_out' as reason,
        changed_at as said_at,
        changed_at_utc as said_at_utc
    from consent_states
    where status = 'opted_out'
),

-- a no to one spelling of a mailbox is a no to it
noes as (
    select
        address_type as key_type,
        address as key,
        channel,
        reason,
        said_at,
        said_at_utc
    from said_no

    union all

    select
        'mailbox' as key_type,
        {{ mailbox_key('address') }} as key,
        channel,
        reason,
        said_at,
        said_at_utc
    from said_no
    where address_type = 'email' and {{ is_aliased('address') }}
),

met as (
    select
        person_keys.*,
        noes.channel,
        noes.reason,
        noes.said_at
    from person_keys
    inner join noes on person_keys.key_type = noes.key_type and person_keys.key = noes.key
    -- an opt-out by a number without its country is followed by a yes to the number with it
    left join consent_states as later_yeses
        on
            person_keys.key_type = 'phone'
            and person_keys.key != person_keys.address
            and later_yeses.address_type = 'phone'
            and person_keys.address = later_yeses.address
            and noes.channel = later_yeses.channel
            and later_yeses.status = 'opted_in'
            and noes.said_at_utc < later_yeses.changed_at_utc
    where later_yeses.address is null
)

select * from met
