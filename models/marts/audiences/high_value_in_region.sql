{{ config(meta={'audience': {
    'purpose': 'Invite the best customers of one region to something on the spot',
    'owner': 'crm',
    'campaign': none,
    'channels': ['email'],
    'objective': 'attendance',
    'holdout_share': 0.1,
    'minimum_size': 10,
    'fields': ['first_name', 'language', 'region', 'city'],
}}) }}

select
    person_id,
    cast(null as date) as entered_on
from {{ ref('customers') }}
where region = {{ sql_text(var('high_value_region')) }} and m_score >= {{ var('high_value_score') }}
