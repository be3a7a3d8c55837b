{{ config(meta={'audience': {
    'purpose': 'Offer the next plan to subscribers who use theirs as much as those who pay more',
    'owner': 'crm',
    'campaign': none,
    'play': 'upgrade',
    'channels': ['email', 'push'],
    'objective': 'upgrade',
    'holdout_share': 0.1,
    'minimum_size': 10,
    'fields': ['first_name', 'language', 'next_plan', 'preferred_hour'],
}}) }}

select
    person_id,
    cast(null as date) as entered_on
from {{ ref('int_habit_signals') }}
where signal = 'upgrade_candidate'
