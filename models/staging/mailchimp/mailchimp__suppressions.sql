with members as (
    select * from {{ ref('int_mailchimp__members') }}
),

suppressions as (
    select
        email,
        'email' as channel,
        case when state = 'cleaned' then 'hard_bounce' else 'complaint' end as reason,
        state_since as suppressed_at
    from members
    where state = 'cleaned' or reason like '%abuse%' or reason like '%complain%'
)

select * from suppressions
