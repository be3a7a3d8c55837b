{{ config(meta={'audience': {
    'purpose': 'Help those over the next step who use the app and got stuck on the way in',
    'owner': 'crm',
    'campaign': none,
    'play': 'finish_onboarding',
    'channels': ['push', 'email'],
    'objective': 'activation',
    'holdout_share': 0.1,
    'minimum_size': 20,
    'fields': ['first_name', 'language', 'next_onboarding_step', 'preferred_hour'],
}}) }}

select
    person_id,
    cast(null as date) as entered_on
from {{ ref('int_habit_signals') }}
where signal = 'onboarding_stuck'
