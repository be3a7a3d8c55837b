{{ config(meta={'audience': {
    'purpose': 'Bring back those whose habit slips, before an order is due',
    'owner': 'crm',
    'campaign': none,
    'play': 'habit_rescue',
    'channels': ['push', 'email'],
    'objective': 'engagement',
    'holdout_share': 0.1,
    'minimum_size': 20,
    'fields': ['first_name', 'language', 'disuse_days', 'preferred_hour'],
}}) }}

select
    person_id,
    cast(null as date) as entered_on
from {{ ref('int_habit_signals') }}
where signal = 'slipping_habit'
