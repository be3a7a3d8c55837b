-- invitation × who invited and who came, as people
with referrals as (
    select * from {{ ref('stg_shop__referrals') }}
),

identity_map as (
    select * from {{ ref('int_identity_map') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

accounts as (
    select
        source as source_system,
        source_id as customer_id,
        person_id
    from identity_map
    where role = 'shop' and source_id is not null
),

-- an address of several people says of none of them that they came
owners as (
    select
        email_key,
        min(person_id) as person_id
    from identity_map
    where email_key is not null
    group by email_key
    having count(distinct person_id) = 1
),

dated as (
    select
        referrals.referral_id,
        accounts.person_id as referrer_person_id,
        owners.person_id as referee_person_id,
        cast(coalesce(referrals.invited_at, referrals.signed_up_at) as date) as invited_on,
        case
            when referrals.signed_up_at < as_of.as_of_end
                then cast(greatest(referrals.signed_up_at, coalesce(referrals.invited_at, referrals.signed_up_at)) as date)
        end as signed_up_on
    from referrals
    cross join as_of
    left join accounts
        on
            referrals.source_system = accounts.source_system
            and referrals.referrer_customer_id = accounts.customer_id
    left join owners on referrals.referee_email = owners.email_key
    where coalesce(referrals.invited_at, referrals.signed_up_at) < as_of.as_of_end
),

-- whoever invites a second account of their own has brought nobody
final as (
    select
        referral_id,
        referrer_person_id,
        referee_person_id,
        invited_on,
        case when coalesce(referee_person_id != referrer_person_id, true) then signed_up_on end as signed_up_on
    from dated
)

select * from final
