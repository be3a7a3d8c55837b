select person_id
from {{ ref('int_person_facts') }}
where person_id not in (select customers.person_id from {{ ref('customers') }} as customers)

union all

select person_id
from {{ ref('customers') }}
where person_id not in (select people.person_id from {{ ref('int_person_facts') }} as people)
