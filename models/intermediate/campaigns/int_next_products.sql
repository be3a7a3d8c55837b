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
strongest as (
    select *
    from affinities
    qualify row_number() over (
        partition by product_key
        order by confidence desc, lift desc, next_product_key asc
    ) <= {{ var('next_product_rules') }}
),

-- one number says which rule comes first, so that people need no sorting
rules as (
    select
        *,
        row_number() over (order by confidence desc, lift desc, next_product_key asc, product_key asc) as rule_number
    from strongest
),

candidates as (
    select
        bought.person_id,
        rules.next_product_key,
        rules.rule_number
    from bought
    inner join rules on bought.product_key = rules.product_key
),

chosen as (
    select
        candidates.person_id,
        min(candidates.rule_number) as rule_number
    from candidates
    left join bought
        on candidates.person_id = bought.person_id and candidates.next_product_key = bought.product_key
    where bought.person_id is null
    group by candidates.person_id
),

final as (
    select
        chosen.person_id,
        rules.next_product_key,
        rules.next_product_name,
        rules.product_key as because_product_key,
        rules.product_name as because_product_name,
        rules.confidence,
        rules.lift
    from chosen
    inner join rules on chosen.rule_number = rules.rule_number
)

select * from final
