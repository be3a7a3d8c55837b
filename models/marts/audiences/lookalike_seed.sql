{{ config(meta={'audience': {
    'purpose': 'Show ad platforms whom new customers should resemble',
    'owner': 'crm',
    'campaign': 'CMP-11',
    'channels': ['ads'],
    'objective': 'new customers',
    'holdout_share': 0,
    'minimum_size': 100,
    'fields': ['country', 'net_revenue'],
}}) }}

select
    person_id,
    cast(null as date) as entered_on
from {{ ref('customers') }}
where rfm_clm_stage = 'reward' and m_score >= {{ var('high_value_score') }}
