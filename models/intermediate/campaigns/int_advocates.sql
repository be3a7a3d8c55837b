-- person who recommends: a promoter by the latest NPS answer, or one whose invitation was followed
with feedback as (
    select * from {{ ref('stg_shop__feedback') }}
    where kind = 'nps' and score between 0 and 10
),

referrals as (
    select * from {{ ref('int_referrals') }}
    where signed_up_on is not null and referrer_person_id is not null
),

identity_map as (
    select * from {{ ref('int_identity_map') }}
    where source = 'shop'
),

erased_people as (
    select * from {{ ref('int_erased_people') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

latest_answers as (
    select
        identity_map.person_id,
        max_by(feedback.score, cast(feedback.submitted_at as varchar) || feedback.feedback_id) as nps_score
    from feedback
    inner join identity_map on feedback.customer_id = identity_map.source_id
    inner join as_of on feedback.submitted_at < as_of.as_of_end
    group by identity_map.person_id
),

unioned as (
    select
        person_id,
        nps_score,
        0 as successful_referrals
    from latest_answers
    where nps_score >= 9

    union all

    select
        referrer_person_id as person_id,
        cast(null as bigint) as nps_score,
        count(*) as successful_referrals
    from referrals
    group by referrer_person_id
),

final as (
    select
        person_id,
        max(nps_score) as nps_score,
        cast(sum(successful_referrals) as bigint) as successful_referrals
    from unioned
    where person_id not in (select erased_people.person_id from erased_people)
    group by person_id
)

select * from final
