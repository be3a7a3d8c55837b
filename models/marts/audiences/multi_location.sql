{{ config(meta={'audience': {
    'purpose': 'Content for people who follow more than one place',
    'owner': 'crm',
    'campaign': none,
    'play': 'local_content',
    'channels': ['push', 'email'],
    'objective': 'engagement',
    'holdout_share': 0.1,
    'minimum_size': 20,
    'fields': ['first_name', 'language', 'city'],
}}) }}

select
    person_id,
    cast(null as date) as entered_on
from {{ ref('customer_locations') }}
where is_default or is_added
group by person_id
having count(*) > 1
