{{ config(meta={'audience': {
    'purpose': 'Give those about to leave something that others do not get',
    'owner': 'crm',
    'campaign': none,
    'play': 'exclusive_content',
    'channels': ['email'],
    'objective': 'a visit',
    'holdout_share': 0.1,
    'minimum_size': 20,
    'fields': ['first_name', 'language', 'rfm_segment'],
}}) }}

select
    person_id,
    cast(null as date) as entered_on
from {{ ref('customers') }}
where rfm_segment in ('about_to_sleep', 'cannot_lose_them')
