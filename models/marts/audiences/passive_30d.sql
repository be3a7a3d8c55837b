{{ config(meta={'audience': {
    'purpose': 'Remind people who have not been active lately',
    'owner': 'crm',
    'campaign': none,
    'channels': ['email', 'push'],
    'objective': 'a visit',
    'holdout_share': 0,
    'minimum_size': 20,
    'fields': ['first_name', 'language', 'last_activity_date'],
}}) }}

select
    person_id,
    coalesce({{ add_days('last_activity_date', var('active_days')) }}, cast(first_seen_at as date)) as entered_on
from {{ ref('customers') }}
where not is_active_30d
