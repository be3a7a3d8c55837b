-- id or address of an erased person × what stands for it in raw data (scripts/raw_reader/erasures.py), and who the person is now
with erasures as (
    select * from {{ source('state', 'erasures') }}
),

-- an operator may let an address be contacted again, and somebody may ask anew
ranked as (
    select
        *,
        row_number() over (partition by kind, key_hash order by erased_at desc, request desc) as recency
    from erasures
),

final as (
    select
        kind,
        key_hash,
        pseudonym,
        person_id,
        {{ change_zone('erased_at', 'UTC', var('business_time_zone')) }} as erased_at
    from ranked
    where recency = 1 and event = 'erased'
)

select * from final
