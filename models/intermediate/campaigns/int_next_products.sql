-- person × the product most likely to come next: of what baskets with a bought product hold, what was never bought
with order_lines as (
    select * from {{ ref('int_order_lines') }}
    where person_id is not null
),

affinities as (
    select * from {{ ref('product_affinities') }}
    -- together more often than by chance
    where lift > 1
),

erased_people as (
    select * from {{ ref('int_erased_people') }}
),

bought as (
    select distinct
        person_id,
        product_key
    from order_lines
    where person_id not in (select erased_people.person_id from erased_people)
),

-- the strongest per product, so that the work per person stays bounded
rules as (
    select *
    from affinities
    qualify row_number() over (
        partition by product_key
        order by confidence desc, lift desc, next_product_key
    ) <= {{ var('next_product_rules') }}
),

candidates as (
    select
        bought.person_id,
        rules.*
    from bought
    inner join rules on bought.product_key = rules.product_key
    left join bought as already on bought.person_id = already.person_id and rules.next_product_key = already.product_key
    where already.person_id is null
),

ranked as (
    select
        *,
        row_number() over (
            partition by person_id
            order by confidence desc, lift desc, next_product_key, product_key
        ) as candidate_rank
    from candidates
),

final as (
    select
        person_id,
        next_product_key,
        next_product_name,
        product_key as because_product_key,
        product_name as because_product_name,
        confidence,
        lift
    from ranked
    where candidate_rank = 1
)

select * from final
