{{ config(meta={'audience': {
    'purpose': 'Show again what people wished for or looked at, and did not buy',
    'owner': 'crm',
    'campaign': none,
    'play': 'remind_of_product',
    'channels': ['email', 'push'],
    'objective': 'order',
    'holdout_share': 0.1,
    'minimum_size': 20,
    'fields': ['first_name', 'language', 'browsed_product_id', 'browsed_product', 'preferred_hour'],
}}) }}

select
    person_id,
    cast(null as date) as entered_on
from {{ ref('int_habit_signals') }}
where signal = 'browsed_not_bought'
