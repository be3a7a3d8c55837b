{{ config(meta={'audience': {
    'purpose': 'Ask those to invite friends who would recommend us, or who keep coming back',
    'owner': 'crm',
    'campaign': none,
    'play': 'invite_friends',
    'channels': ['email', 'push'],
    'objective': 'referral',
    'holdout_share': 0.1,
    'minimum_size': 20,
    'fields': ['first_name', 'language', 'primary_customer_id'],
}}) }}

select
    person_id,
    cast(null as date) as entered_on
from {{ ref('customers') }}
where
    stage != 'erased'
    and (stage = 'loyal' or person_id in (select advocates.person_id from {{ ref('int_advocates') }} as advocates))
