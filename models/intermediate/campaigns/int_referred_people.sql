-- person who came by another's invitation, and since when
with referrals as (
    select * from {{ ref('int_referrals') }}
    where signed_up_on is not null and referee_person_id is not null
),

customers as (
    select * from {{ ref('stg_shop__customers') }}
    where referred_by_customer_id is not null
),

identity_map as (
    select * from {{ ref('int_identity_map') }}
    where role = 'shop'
),

people as (
    select * from {{ ref('int_person_facts') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

unioned as (
    select
        referee_person_id as person_id,
        signed_up_on as referred_on
    from referrals

    union all

    select
        referee.person_id,
        cast(customers.created_at as date) as referred_on
    from customers
    inner join as_of on customers.created_at < as_of.as_of_end
    inner join identity_map as referee
        on customers.source_system = referee.source and customers.customer_id = referee.source_id
    left join identity_map as referrer
        on customers.source_system = referrer.source and customers.referred_by_customer_id = referrer.source_id
    where coalesce(referrer.person_id != referee.person_id, true)
),

final as (
    select
        people.person_id,
        greatest(min(unioned.referred_on), cast(min(people.first_seen_at) as date)) as referred_on
    from unioned
    inner join people on unioned.person_id = people.person_id
    group by people.person_id
)

select * from final
