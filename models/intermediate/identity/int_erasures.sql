-- id or address of an erased person × what stands for it in raw data (scripts/raw_reader/erasures.py), and who the person is now
with erasures as (
    select * from {{ source('state', 'erasures') }}
),

-- an operator lets an address be contacted again; nobody is unerased
lifted as (
    select distinct
        kind,
        key_hash
    from erasures
    where event = 'lifted'
),

final as (
    select
        erasures.kind,
        erasures.key_hash,
        min(erasures.pseudonym) as pseudonym,
        min(erasures.person_id) as person_id,
        min({{ change_zone('erasures.erased_at', 'UTC', var('business_time_zone')) }}) as erased_at
    from erasures
    left join lifted on erasures.kind = lifted.kind and erasures.key_hash = lifted.key_hash
    where erasures.event = 'erased' and lifted.kind is null
    group by erasures.kind, erasures.key_hash
)

select * from final
