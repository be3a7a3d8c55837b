{{ config(meta={'audience': {
    'purpose': 'Turn visitors without an order into buyers',
    'owner': 'crm',
    'campaign': none,
    'play': 'first_order_offer',
    'channels': ['email', 'push'],
    'objective': 'a product view or cart',
    'holdout_share': 0.1,
    'minimum_size': 20,
    'fields': ['first_name', 'language', 'last_activity_date'],
}}) }}

select
    person_id,
    cast(stage_entered_at as date) as entered_on
from {{ ref('customers') }}
where stage = 'engaged'
