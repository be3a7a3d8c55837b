-- product × the likeliest in the buyers' next order, of those that come there more often than by chance
with order_lines as (
    select * from {{ ref('order_lines') }}
    where person_id is not null
),

-- without lists of a wholesaler's length, whose pairs would cost their square
baskets as (
    select
        person_id,
        order_number
    from order_lines
    group by person_id, order_number
    having count(*) <= {{ var('max_basket_products') }}
),

basket_lines as (
    select
        order_lines.person_id,
        order_lines.order_number,
        order_lines.product_key
    from order_lines
    inner join baskets
        on order_lines.person_id = baskets.person_id and order_lines.order_number = baskets.order_number
),

-- a basket and the person's next order
steps as (
    select
        baskets.person_id,
        baskets.order_number
    from baskets
    inner join baskets as next_baskets
        on baskets.person_id = next_baskets.person_id and baskets.order_number + 1 = next_baskets.order_number
),

lines_before as (
    select basket_lines.*
    from basket_lines
    inner join steps on basket_lines.person_id = steps.person_id and basket_lines.order_number = steps.order_number
),

lines_after as (
    select
        steps.person_id,
        steps.order_number,
        basket_lines.product_key
    from basket_lines
    inner join steps
        on basket_lines.person_id = steps.person_id and basket_lines.order_number = steps.order_number + 1
),

earlier as (
    select
        product_key,
        count(*) as steps
    from lines_before
    group by product_key
),

later as (
    select
        product_key,
        count(*) as steps
    from lines_after
    group by product_key
),

pairs as (
    select
        lines_before.product_key,
        lines_after.product_key as next_product_key,
        count(*) as steps
    from lines_before
    inner join lines_after
        on
            lines_before.person_id = lines_after.person_id
            and lines_before.order_number = lines_after.order_number
            and lines_before.product_key != lines_after.product_key
    group by lines_before.product_key, lines_after.product_key
),

step_counts as (
    select count(*) as steps
    from steps
),

final as (
    select
        pairs.product_key,
        pairs.next_product_key,
        pairs.steps as next_product_orders,
        earlier.steps as followed_orders
    from pairs
    inner join earlier on pairs.product_key = earlier.product_key
    inner join later on pairs.next_product_key = later.product_key
    cross join step_counts
    where
        pairs.steps >= {{ var('affinity_min_baskets') }}
        and pairs.steps * step_counts.steps > earlier.steps * later.steps
    qualify row_number() over (
        partition by pairs.product_key
        order by pairs.steps desc, later.steps asc, pairs.next_product_key asc
    ) = 1
)

select * from final
