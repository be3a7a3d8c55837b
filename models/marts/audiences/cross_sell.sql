{{ config(meta={'audience': {
    'purpose': 'Offer active customers what goes with what they bought and is not theirs yet',
    'owner': 'crm',
    'campaign': none,
    'play': 'cross_sell',
    'channels': ['email', 'push'],
    'objective': 'repeat order',
    'holdout_share': 0.1,
    'minimum_size': 20,
    'fields': ['first_name', 'language'],
}}) }}

select
    next_products.person_id,
    cast(null as date) as entered_on
from {{ ref('int_next_products') }} as next_products
inner join {{ ref('customers') }} as customers on next_products.person_id = customers.person_id
where customers.stage in ('one_time', 'repeat', 'loyal')
