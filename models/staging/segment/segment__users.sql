with calls as (
    select * from {{ ref('int_segment__calls') }}
    where is_logged_in
),

traits as (
    select * from {{ ref('base_segment__users') }}
    where row_status = 'staged'
),

-- an account is made when its traits say so, at the latest when it is first seen
unioned as (
    select
        user_id,
        user_id_in_shop,
        email,
        case when created_at < occurred_at then created_at else occurred_at end as created_at,
        occurred_at
    from calls

    union all

    select
        id as user_id,
        user_id_in_shop,
        email,
        coalesce(created_at, received_at) as created_at,
        coalesce(received_at, created_at) as occurred_at
    from traits
),

-- the address is that of the latest login that has one
users as (
    select
        user_id,
        {{ customer_id_of_shop('segment', 'min(user_id_in_shop)') }} as customer_id,
        max_by(email, case when email is not null then cast(occurred_at as string) || ' ' || email end) as email,
        min(created_at) as created_at
    from unioned
    where created_at is not null
    group by user_id
)

select * from users
