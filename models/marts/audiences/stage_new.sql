{{ config(meta={'audience': {
    'purpose': 'Thank for the first order and explain what comes next',
    'owner': 'crm',
    'campaign': none,
    'play': 'second_order',
    'channels': ['email', 'push'],
    'objective': 'a good start',
    'holdout_share': 0,
    'minimum_size': 10,
    'fields': ['first_name', 'language', 'first_order_date'],
}}) }}

select
    person_id,
    cast(stage_entered_at as date) as entered_on
from {{ ref('customers') }}
where stage = 'new'
