-- the running month of rfm_history is customer_rfm, row by row, and everybody of a month is in its transitions
with latest as (
    select history.*
    from {{ ref('rfm_history') }} as history
    inner join {{ ref('int_as_of') }} as as_of on history.month_end = as_of.as_of_date
),

differing as (
    select coalesce(latest.person_id, rfm.person_id) as what
    from latest
    full join {{ ref('customer_rfm') }} as rfm
        on
            latest.person_id = rfm.person_id
            and latest.recency_days = rfm.recency_days
            and latest.frequency = rfm.frequency
            and latest.monetary = rfm.monetary
            and latest.r_score = rfm.r_score
            and latest.f_score = rfm.f_score
            and latest.m_score = rfm.m_score
            and latest.segment = rfm.segment
    where latest.person_id is null or rfm.person_id is null
),

months as (
    select
        month_label,
        count(*) as customers
    from {{ ref('rfm_history') }}
    group by month_label
),

transitions as (
    select
        month_label,
        sum(customers) as customers
    from {{ ref('rfm_transitions') }}
    group by month_label
)

select what from differing
union all
select months.month_label as what
from months
left join transitions on months.month_label = transitions.month_label
where transitions.customers is distinct from months.customers
