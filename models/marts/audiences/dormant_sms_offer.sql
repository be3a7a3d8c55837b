{{ config(meta={'audience': {
    'purpose': 'One offer by text message to rare buyers long gone',
    'owner': 'crm',
    'campaign': none,
    'play': 'dormant_offer',
    'channels': ['sms'],
    'objective': 'next order',
    'holdout_share': 0.1,
    'minimum_size': 20,
    'fields': ['first_name', 'language'],
}}) }}

select
    person_id,
    cast(null as date) as entered_on
from {{ ref('customers') }}
where rfm_segment = 'hibernating'
