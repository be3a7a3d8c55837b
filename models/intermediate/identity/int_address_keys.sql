-- address of a person × key under which a no meets it: itself, its mailbox, a phone as its country dials it; and whose it is
with addresses as (
    select * from {{ ref('int_person_addresses') }}
),

phone_keys as (
    select * from {{ ref('int_phone_keys') }}
),

spellings as (
    select distinct
        address_type,
        address,
        address_type as key_type,
        address as key
    from addresses

    union

    select
        address_type,
        address,
        'mailbox' as key_type,
        {{ mailbox_key('address') }} as key
    from addresses
    where address_type = 'email' and {{ is_aliased('address') }}
    {% for form in ['national_number', 'dialled_number', 'substr(phone_key, 2)'] %}
    union

    select
        'phone' as address_type,
        phone_key as address,
        'phone' as key_type,
        {{ form }} as key
    from phone_keys
    where national_number is not null
    {% endfor %}
),

-- a number without its country may be that of people in several
owned as (
    select
        spellings.key_type,
        spellings.key,
        count(distinct addresses.person_id) as people,
        min(addresses.person_id) as person_id
    from spellings
    inner join addresses on spellings.address_type = addresses.address_type and spellings.address = addresses.address
    group by spellings.key_type, spellings.key
),

final as (
    select
        spellings.address_type,
        spellings.address,
        spellings.key_type,
        spellings.key,
        owned.people,
        case when owned.people = 1 then owned.person_id end as person_id
    from spellings
    inner join owned on spellings.key_type = owned.key_type and spellings.key = owned.key
)

select * from final
