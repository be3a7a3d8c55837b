{{ config(meta={'audience': {
    'purpose': 'Leave out of paid reach: the longest gone, who never spent much',
    'owner': 'performance marketing',
    'campaign': none,
    'channels': ['ads'],
    'objective': 'no spend',
    'holdout_share': 0,
    'minimum_size': 0,
    'fields': ['country'],
}}) }}

select
    person_id,
    cast(stage_entered_at as date) as entered_on
from {{ ref('customers') }}
where stage = 'lapsed' and r_score = 1 and m_score <= {{ var('low_value_score') }}
