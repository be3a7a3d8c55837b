{{ config(meta={'audience': {
    'purpose': 'Help those decide who have filled a cart or keep looking and have never ordered',
    'owner': 'crm',
    'campaign': 'CMP-05',
    'play': 'cart_rescue',
    'channels': ['email', 'push'],
    'objective': 'first order',
    'holdout_share': 0.1,
    'minimum_size': 10,
    'fields': ['first_name', 'language'],
}}) }}

select
    person_id,
    cast(stage_entered_at as date) as entered_on
from {{ ref('customers') }}
where stage = 'evaluating'
