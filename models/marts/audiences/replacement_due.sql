{{ config(meta={'audience': {
    'purpose': 'Remind of what is worn out or used up about now',
    'owner': 'crm',
    'campaign': 'CMP-07',
    'play': 'replacement',
    'channels': ['email', 'sms', 'push'],
    'objective': 'repeat order',
    'holdout_share': 0.1,
    'minimum_size': 20,
    'fields': ['first_name', 'language'],
}}) }}

select distinct
    person_id,
    cast(null as date) as entered_on
from {{ ref('int_replacements') }}
where is_due
