{{ config(meta={'audience': {
    'purpose': 'Welcome newcomers in their own language',
    'owner': 'crm',
    'campaign': 'CMP-01',
    'play': 'onboarding',
    'channels': ['email', 'push'],
    'objective': 'first order',
    'holdout_share': 0.1,
    'minimum_size': 10,
    'fields': ['first_name', 'language', 'country', 'time_zone'],
}}) }}

select
    customers.person_id,
    cast(customers.first_seen_at as date) as entered_on
from {{ ref('customers') }} as customers
cross join {{ ref('int_as_of') }} as as_of
where cast(customers.first_seen_at as date) > {{ add_days('as_of.as_of_date', '-' ~ var('onboarding_days')) }}
