{{ config(
    materialized='view', schema='audiences', contract={'enforced': false},
    meta={'audience': {
        'purpose': 'Show ad platforms whom new customers should resemble',
        'owner': 'crm',
        'campaign': 'CMP-11',
        'channels': ['ads'],
        'objective': 'new customers',
        'holdout_share': 0,
        'minimum_size': 100,
        'fields': ['country', 'net_revenue'],
    }},
) }}

select person_id
from {{ ref('customers') }}
where rfm_clm_stage = 'reward' and m_score >= {{ var('high_value_score') }}
