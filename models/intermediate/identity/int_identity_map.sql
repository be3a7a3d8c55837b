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

erasures as (
    select * from {{ ref('int_erasures') }}
    where person_id is not null
),

components as (
    {{ connected_components(ref('int_identity_links')) }} -- noqa: PRS
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
        email_key as name
    from clustered
),

set_aside_names as (
    select coalesce({{ email_key('id_or_address') }}, {{ strip('id_or_address') }}) as name
    from set_aside_customers
),

-- house accounts, employees and bots, with every record that is linked to them, are no people
set_aside as (
    select distinct names.cluster
    from names
    inner join set_aside_names on names.name = set_aside_names.name
),

-- an erased person's id is a random one: a hash of what others know could be guessed
erased as (
    select
        names.cluster,
        min(erasures.person_id) as person_id
    from names
    inner join erasures
        -- an id of one of several shops has the shop before it
        on
            case
                when names.name like '%@%' then names.name
                else substr(names.name, greatest(length(names.name) - 31, 1))
            end = erasures.pseudonym
    group by names.cluster
),

earliest as (
    select min(created_at) as created_at
    from records
),

-- named after the earliest record, so that a later e-mail or login changes nothing; one without a date may be older than any
identified as (
    select
        clustered.record_key,
        clustered.role,
        clustered.source,
        clustered.source_id,
        clustered.email,
        clustered.email_key,
        -- without any date: known since the person's other records, or ever since, so that nobody is new for that
        coalesce(
            clustered.created_at, min(clustered.created_at) over (partition by clustered.cluster), earliest.created_at
        ) as created_at,
        md5(clustered.stable_key) as record_id,
        coalesce(
            erased.person_id,
            md5(
                first_value(clustered.stable_key) over (
                    partition by clustered.cluster
                    order by
                        case when clustered.is_undated then cast('0001-01-01' as timestamp) else clustered.created_at end,
                        clustered.stable_key
                )
            )
        ) as person_id
    from clustered
    cross join earliest
    left join erased on clustered.cluster = erased.cluster
    -- a guest (nobody's id) with an address that identifies nobody is nobody
    where
        (clustered.source_id is not null or clustered.email_key not in (select unlinked_emails.email from unlinked_emails))
        and clustered.cluster not in (select set_aside.cluster from set_aside)
)

select * from identified
