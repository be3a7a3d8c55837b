{{ config(meta={
    'audience': {
        'purpose': "Loyal customers of the bar hear of the new roast first.",
        'owner': 'crm',
        'channels': ['email'],
        'objective': 'repeat_orders',
        'holdout_share': 0.1,
        'minimum_size': 1,
        'fields': ['first_name', 'city', 'next_product'],
    },
}) }}
select
    person_id,
    last_order_date as entered_on
from {{ ref('customer_lifecycle', 'customers') }}
where is_loyal_customer
