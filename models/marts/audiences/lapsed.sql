{{ config(meta={'audience': {
    'purpose': 'Everybody who has been away so long that few come back',
    'owner': 'crm',
    'campaign': 'CMP-08',
    'play': 'win_back_rest',
    'channels': ['email'],
    'objective': 'next order',
    'holdout_share': 0.2,
    'minimum_size': 20,
    'fields': ['first_name', 'language', 'last_order_date', 'recency_days'],
}}) }}

select
    person_id,
    cast(stage_entered_at as date) as entered_on
from {{ ref('customers') }}
where stage = 'lapsed'
