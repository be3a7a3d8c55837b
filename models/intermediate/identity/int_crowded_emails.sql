-- addresses on more records than one person has, or in the seed shared_emails, and whether they are one person's all the same
with records as (
    select * from {{ ref('int_identity_records') }}
    where email_key is not null and (role != 'shop' or source_id is not null)
),

guest_orders as (
    select * from {{ ref('int_order_records') }}
    where customer_id is null and email_key is not null and not is_test
),

shared_emails as (
    select
        {{ email_key('email') }} as email,
        reason
    from {{ ref('shared_emails') }}
),

-- every order of a guest is a record: a market place orders under one address for everybody
listed as (
    select
        email_key as email,
        person_name,
        phone
    from records

    union all

    select
        email_key as email,
        {{ name_key('customer_name') }} as person_name,
        {{ phone_digits('phone') }} as phone
    from guest_orders
),

counted as (
    select
        email,
        count(*) as records,
        count(case when person_name is not null or phone is not null then 1 end) as described_records,
        count(person_name) as named_records,
        count(distinct person_name) as names,
        count(phone) as phoned_records,
        count(distinct phone) as phones
    from listed
    group by email
),

judged as (
    select
        counted.email,
        counted.records,
        counted.names,
        counted.phones,
        shared_emails.email is null
        and (
            (counted.names = 1 and counted.named_records = counted.described_records)
            or (counted.names <= 1 and counted.phones = 1 and counted.phoned_records = counted.described_records)
        ) as is_one_person,
        shared_emails.reason as seed_reason
    from counted
    left join shared_emails on counted.email = shared_emails.email
    where shared_emails.email is not null or counted.records > {{ var('max_records_per_email') }}
),

explained as (
    select
        email,
        records,
        names,
        phones,
        is_one_person,
        case
            when seed_reason is not null then 'seed shared_emails: ' || seed_reason
            when is_one_person and names = 1 then 'one name on all records that have a name or phone'
            when is_one_person then 'one phone on all records that have a name or phone'
            when names = 0 and phones = 0 then 'on more than {{ var("max_records_per_email") }} records, without a name or phone'
            else 'on more than {{ var("max_records_per_email") }} records of different people'
        end as reason
    from judged
)

select * from explained
