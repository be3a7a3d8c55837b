{{ config(meta={'audience': {
    'purpose': 'Bring customers with one order to the second while they remember the first',
    'owner': 'crm',
    'campaign': none,
    'play': 'second_order_nudge',
    'channels': ['email', 'push'],
    'objective': 'second order',
    'holdout_share': 0.1,
    'minimum_size': 20,
    'fields': ['first_name', 'language', 'first_order_date'],
}}) }}

select
    person_id,
    first_order_date as entered_on
from {{ ref('customers') }}
where orders_count = 1 and stage in ('new', 'one_time')
