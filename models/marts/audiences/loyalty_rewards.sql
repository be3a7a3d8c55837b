{{ config(meta={'audience': {
    'purpose': 'Tell members of the loyalty programme what their tier gives them',
    'owner': 'crm',
    'campaign': none,
    'play': 'loyal_news',
    'channels': ['email', 'push'],
    'objective': 'loyalty',
    'holdout_share': 0.1,
    'minimum_size': 20,
    'fields': ['first_name', 'language', 'orders_count'],
}}) }}

select
    person_id,
    cast(null as date) as entered_on
from {{ ref('int_loyalty_tiers') }}
where tier != 'none'
