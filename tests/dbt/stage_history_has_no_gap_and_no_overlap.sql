-- every person is in exactly one stage at any moment from first seen on, and the last spell is open
with spells as (
    select
        person_id,
        stage,
        entered_at,
        exited_at,
        lag(exited_at) over (partition by person_id order by entered_at) as previous_exited_at,
        lag(stage) over (partition by person_id order by entered_at) as previous_stage,
        lead(entered_at) over (partition by person_id order by entered_at) as next_entered_at
    from {{ ref('customer_stage_history') }}
),

broken as (
    select spells.person_id
    from spells
    inner join {{ ref('int_person_facts') }} as people on spells.person_id = people.person_id
    cross join {{ ref('int_as_of') }} as as_of
    where
        (spells.previous_exited_at is null and spells.entered_at != people.first_seen_at)
        or spells.previous_exited_at != spells.entered_at
        or spells.previous_stage = spells.stage
        or spells.exited_at is distinct from spells.next_entered_at
        or spells.entered_at >= as_of.as_of_end
)

select * from broken
