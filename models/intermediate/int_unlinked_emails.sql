-- addresses that identify nobody, with the reason
with records as (
    select * from {{ ref('int_identity_records') }}
),

shared_emails as (
    select
        {{ normalised_email('email') }} as email,
        reason
    from {{ ref('shared_emails') }}
),

counted as (
    select
        email,
        count(*) as records
    from records
    where email is not null
    group by email
),

unlinked as (
    select
        counted.email,
        counted.records,
        case
            when shared_emails.email is not null then 'seed shared_emails: ' || shared_emails.reason
            else 'on more than {{ var("max_records_per_email") }} records'
        end as reason
    from counted
    left join shared_emails on counted.email = shared_emails.email
    where shared_emails.email is not null or counted.records > {{ var('max_records_per_email') }}
)

select * from unlinked
