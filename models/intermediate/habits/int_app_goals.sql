-- what newcomers should do in the app: the steps of onboarding and the key features, each with its place
with onboarding_steps as (
    select * from {{ ref('onboarding_steps') }}
),

key_features as (
    select * from {{ ref('key_features') }}
),

unioned as (
    select
        'step' as kind,
        step as name,
        position
    from onboarding_steps

    union all

    select
        'feature' as kind,
        feature as name,
        position
    from key_features
),

final as (
    select
        kind,
        name,
        cast(row_number() over (partition by kind order by position, name) as bigint) as place,
        count(*) over (partition by kind) as names_count
    from unioned
)

select * from final
