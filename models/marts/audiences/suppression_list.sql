with suppressions as (
    select * from {{ ref('int_suppressions') }}
),

consent_states as (
    select * from {{ ref('int_consent_states') }}
    where status = 'opted_out'
),

noes as (
    select * from {{ ref('int_person_noes') }}
    where people = 1 and reason != 'hard_bounce'
),

addresses as (
    select * from {{ ref('int_person_addresses') }}
),

address_keys as (
    select * from {{ ref('int_address_keys') }}
    where people > 1 and key = address
),

block_reasons as (
    select * from {{ ref('block_reasons') }}
),

erasures as (
    select * from {{ ref('int_erasures') }}
),

channels as (
    select * from {{ ref('channels') }}
),

said as (
    select
        channel,
        address_type,
        address,
        reason,
        suppressed_at
    from suppressions

    union all

    select
        channel,
        address_type,
        address,
        'opted_out' as reason,
        changed_at as suppressed_at
    from consent_states
),

-- an address that somebody shares who said no by another one
shared as (
    select distinct
        noes.channel,
        addresses.address_type,
        addresses.address,
        noes.reason,
        cast(null as timestamp) as suppressed_at
    from noes
    inner join addresses on noes.person_id = addresses.person_id
    inner join address_keys
        on addresses.address_type = address_keys.address_type and addresses.address = address_keys.address
    left join said
        on
            noes.channel = said.channel
            and addresses.address_type = said.address_type
            and addresses.address = said.address
    where said.address is null
),

unioned as (
    select * from said
    union all
    select * from shared
),

-- the strongest reason with its own time; an opt-out is no suppression and comes last
ranked as (
    select
        unioned.*,
        row_number() over (
            partition by unioned.channel, unioned.address_type, unioned.address
            order by coalesce(block_reasons.position, 99), unioned.suppressed_at nulls first
        ) as strength
    from unioned
    left join block_reasons on unioned.reason = block_reasons.reason
),

-- of the erased only a keyed hash is kept: enough never to contact them again, and not to be guessed; it is that of the SHA-256,
-- which is all that some destinations were given
listed as (
    select
        ranked.channel,
        ranked.address_type,
        case when ranked.reason != 'erased' then ranked.address end as address,
        case
            when ranked.reason = 'erased' then coalesce(erasures.key_hash, {{ keyed_hash(sha256('ranked.address')) }})
        end as address_hash,
        ranked.reason,
        ranked.suppressed_at
    from ranked
    left join erasures on ranked.address = erasures.pseudonym and ranked.address_type = erasures.kind
    where ranked.strength = 1
),

-- numbers have no pseudonym that the list could have met
final as (
    select * from listed

    union all

    select
        channels.channel,
        'phone' as address_type,
        cast(null as string) as address,
        erasures.key_hash as address_hash,
        'erased' as reason,
        erasures.erased_at as suppressed_at
    from erasures
    cross join channels
    where erasures.kind = 'phone'
)

select * from final
