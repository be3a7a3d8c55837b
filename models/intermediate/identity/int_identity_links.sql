-- which records share an explicit id or an e-mail address: each with the first record that has it, in both directions
with records as (
    select * from {{ ref('int_identity_records') }}
),

unlinked_emails as (
    select * from {{ ref('int_unlinked_emails') }}
),

tokens as (
    select
        record_key,
        record_key as token
    from records

    union all

    select
        record_key,
        linked_key as token
    from records
    where linked_key is not null

    union all

    select
        record_key,
        'email:' || email_key as token
    from records
    where email_key is not null and email_key not in (select unlinked_emails.email from unlinked_emails)
),

shared_tokens as (
    select
        token,
        min(record_key) as hub
    from tokens
    group by token
    having count(*) > 1
),

links as (
    select distinct
        tokens.record_key,
        shared_tokens.hub
    from tokens
    inner join shared_tokens on tokens.token = shared_tokens.token
    where tokens.record_key != shared_tokens.hub
),

both_ways as (
    select
        record_key as node,
        hub as neighbour
    from links

    union all

    select
        hub as node,
        record_key as neighbour
    from links
)

select * from both_ways
