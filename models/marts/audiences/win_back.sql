{{ config(meta={'audience': {
    'purpose': 'Win back the lapsed customers who were worth most',
    'owner': 'crm',
    'campaign': none,
    'play': 'win_back',
    'channels': ['email', 'sms'],
    'objective': 'next order',
    'holdout_share': 0.2,
    'minimum_size': 20,
    'fields': ['first_name', 'language', 'last_order_date', 'net_revenue'],
}}) }}

select
    person_id,
    cast(stage_entered_at as date) as entered_on
from {{ ref('customers') }}
where stage = 'lapsed' and m_score >= {{ var('high_value_score') }}
