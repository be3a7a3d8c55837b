-- one person per connected component of records that share an explicit id or an e-mail address
with records as (
    select * from {{ ref('int_identity_records') }}
),

unlinked_emails as (
    select * from {{ ref('int_unlinked_emails') }}
),

set_aside_customers as (
    select * from {{ ref('set_aside_customers') }}
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
        'email:' || email as token
    from records
    where email is not null and email not in (select unlinked_emails.email from unlinked_emails)
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

edges as ( -- noqa: ST03
    select
        record_key as node,
        hub as neighbour
    from links

    union all

    select
        hub as node,
        record_key as neighbour
    from links
),

components as (
    {{ connected_components('edges') }} -- noqa: PRS
),

clustered as (
    select
        records.*,
        coalesce(components.component, records.record_key) as cluster
    from records
    left join components on records.record_key = components.node
),

names as (
    select
        cluster,
        record_key as name
    from clustered

    union all

    select
        cluster,
        source_id as name
    from clustered

    union all

    select
        cluster,
        email as name
    from clustered
),

-- house accounts, employees and bots, with every record that is linked to them, are no people
set_aside as (
    select distinct names.cluster
    from names
    inner join set_aside_customers
        on
            names.name = coalesce(
                {{ normalised_email('set_aside_customers.id_or_address') }}, {{ strip('set_aside_customers.id_or_address') }}
            )
),

-- named after the earliest record, so that a later e-mail or login changes nothing
identified as (
    select
        record_key,
        role,
        source,
        source_id,
        email,
        created_at,
        md5(stable_key) as record_id,
        md5(first_value(stable_key) over (partition by cluster order by created_at, stable_key)) as person_id
    from clustered
    -- a guest (nobody's id) with an address that identifies nobody is nobody
    where
        (source_id is not null or email not in (select unlinked_emails.email from unlinked_emails))
        and cluster not in (select set_aside.cluster from set_aside)
)

select * from identified
