-- two records with one explicit id or one linking address are one person
with records as (
    select
        records.linked_key,
        records.email_key,
        identity_map.person_id,
        identity_map.record_key
    from {{ ref('int_identity_records') }} as records
    inner join {{ ref('int_identity_map') }} as identity_map on records.record_key = identity_map.record_key
    where
        records.email_key is null
        or records.email_key not in (select unlinked.email from {{ ref('int_unlinked_emails') }} as unlinked)
)

select 'email' as link
from records
where email_key is not null
group by email_key
having count(distinct person_id) > 1

union all

select 'id' as link
from records
inner join {{ ref('int_identity_map') }} as linked on records.linked_key = linked.record_key
where records.person_id != linked.person_id
