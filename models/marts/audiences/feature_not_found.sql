{{ config(meta={'audience': {
    'purpose': 'Show a key feature to those who use the app and never found it',
    'owner': 'crm',
    'campaign': none,
    'play': 'show_feature',
    'channels': ['push', 'email'],
    'objective': 'activation',
    'holdout_share': 0.1,
    'minimum_size': 20,
    'fields': ['first_name', 'language', 'missing_key_feature', 'preferred_hour'],
}}) }}

select
    person_id,
    cast(null as date) as entered_on
from {{ ref('int_habit_signals') }}
where signal = 'feature_not_found'
