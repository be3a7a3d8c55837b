{{ config(meta={'audience': {
    'purpose': 'Treat the best customers as such',
    'owner': 'crm',
    'campaign': none,
    'play': 'thank_champions',
    'channels': ['email', 'push'],
    'objective': 'keep and thank',
    'holdout_share': 0.1,
    'minimum_size': 20,
    'fields': ['first_name', 'language', 'orders_count'],
}}) }}

select
    person_id,
    cast(null as date) as entered_on
from {{ ref('customers') }}
where rfm_segment = 'champions'
