-- person who recommends: a promoter by the latest NPS answer, or one whose invitation was followed
with answers as (
    select * from {{ ref('int_feedback') }}
    where kind = 'nps' and person_id is not null
),

referrals as (
    select * from {{ ref('int_referrals') }}
    where signed_up_on is not null and referrer_person_id is not null
),

erased_people as (
    select * from {{ ref('int_erased_people') }}
),

latest_answers as (
    select
        person_id,
        max_by(score, cast(answered_at as string) || ' ' || feedback_id) as nps_score,
        max_by(verdict, cast(answered_at as string) || ' ' || feedback_id) as verdict
    from answers
    group by person_id
),

unioned as (
    select
        person_id,
        nps_score,
        0 as successful_referrals
    from latest_answers
    where verdict = 1

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
