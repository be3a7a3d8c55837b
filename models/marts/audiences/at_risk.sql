{{ config(meta={'audience': {
    'purpose': 'Call back customers who have been away for longer than most',
    'owner': 'crm',
    'campaign': none,
    'channels': ['email', 'push'],
    'objective': 'next order',
    'holdout_share': 0.1,
    'minimum_size': 20,
    'fields': ['first_name', 'language', 'last_order_date'],
}}) }}

select
    person_id,
    cast(stage_entered_at as date) as entered_on
from {{ ref('customers') }}
where stage = 'at_risk'
