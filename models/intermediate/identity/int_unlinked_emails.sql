-- addresses that identify nobody, with the reason
with crowded_emails as (
    select * from {{ ref('int_crowded_emails') }}
),

unlinked as (
    select
        email,
        records,
        reason
    from crowded_emails
    where not is_one_person
)

select * from unlinked
