with profiles as (
    select * from {{ ref('base_klaviyo__profiles') }}
    where row_status = 'staged'
),

listed as (
    select * from {{ ref('base_klaviyo__suppressions') }}
    where row_status = 'staged'
),

-- [] is an empty list
unioned as (
    select
        email,
        upper(reason) as reasons,
        suppressed_at
    from listed

    union all

    select
        email,
        upper(email_suppressions) as reasons,
        email_suppressed_at as suppressed_at
    from profiles
    where {{ matches('email_suppressions', '[A-Za-z]') }}
),

-- nothing but bounces is a dead address; whatever else was the reason, somebody does not want it
suppressions as (
    select
        email,
        'email' as channel,
        case
            when reasons like '%SPAM%' then 'complaint'
            when {{ replace_matches('reasons', '(HARD|SOFT)[ _]BOUNCED?|INVALID[ _]EMAIL|[^A-Z]', '') }} = '' then 'hard_bounce'
            else 'unsubscribed'
        end as reason,
        suppressed_at
    from unioned
)

select * from suppressions
