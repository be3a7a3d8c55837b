with members as (
    select * from {{ ref('int_mailchimp__members') }}
    where euid is not null and first_seen_at is not null
),

contacts as (
    select
        euid as contact_id,
        max(email) as email,
        min(first_seen_at) as created_at
    from members
    group by euid
)

select * from contacts
