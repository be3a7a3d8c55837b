-- answer to an NPS or CSAT question by as_of_date; a score outside its scale is no answer
with feedback as (
    select * from {{ ref('stg_shop__feedback') }}
    where (kind = 'nps' and score between 0 and 10) or (kind = 'csat' and score between 1 and 5)
),

identity_map as (
    select * from {{ ref('int_identity_map') }}
    where role = 'shop' and source_id is not null
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

judged as (
    select
        feedback.feedback_id,
        identity_map.person_id,
        feedback.kind,
        feedback.score,
        case
            when feedback.kind = 'nps' and feedback.score >= 9 then 1
            when feedback.kind = 'nps' and feedback.score <= 6 then -1
            when feedback.kind = 'csat' and feedback.score >= 4 then 1
            else 0
        end as verdict,
        feedback.submitted_at as answered_at,
        cast(feedback.submitted_at as date) as answered_on
    from feedback
    inner join as_of on feedback.submitted_at < as_of.as_of_end
    left join identity_map
        on feedback.source_system = identity_map.source and feedback.customer_id = identity_map.source_id
)

select * from judged
