{{ config(meta={'audience': {
    'purpose': 'Ask those who stay away what went wrong',
    'owner': 'crm',
    'campaign': 'CMP-06',
    'play': 'ask_feedback',
    'channels': ['email'],
    'objective': 'an answer',
    'holdout_share': 0,
    'minimum_size': 20,
    'fields': ['first_name', 'language', 'last_order_date'],
}}) }}

select
    person_id,
    cast(stage_entered_at as date) as entered_on
from {{ ref('customers') }}
where stage = 'at_risk'
