-- pairs are counted on one packed integer; a basket of more than max_basket_products would cost their square
with order_lines as (
    select * from {{ ref('int_order_lines') }}
),

products as (
    select * from {{ ref('int_products') }}
),

baskets as (
    select
        order_key,
        row_number() over (order by order_key) as basket_number
    from order_lines
    group by order_key
    having count(*) <= {{ var('max_basket_products') }}
),

basket_lines as (
    select
        baskets.basket_number,
        order_lines.product_key
    from order_lines
    inner join baskets on order_lines.order_key = baskets.order_key
),

sold_products as (
    select
        product_key,
        row_number() over (order by product_key) - 1 as product_number,
        count(*) as baskets
    from basket_lines
    group by product_key
),

sizes as (
    select
        (select count(*) from baskets) as baskets,
        (select count(*) from sold_products) as products
),

entries as (
    select
        basket_lines.basket_number,
        sold_products.product_number
    from basket_lines
    inner join sold_products on basket_lines.product_key = sold_products.product_key
),

pairs as (
    select
        one.product_number * sizes.products + other.product_number as pair_number,
        count(*) as baskets
    from entries as one
    inner join entries as other
        on one.basket_number = other.basket_number and one.product_number < other.product_number
    cross join sizes
    group by one.product_number * sizes.products + other.product_number
),

frequent_pairs as (
    select
        cast((pairs.pair_number - mod(pairs.pair_number, sizes.products)) / sizes.products as bigint) as one_number,
        mod(pairs.pair_number, sizes.products) as other_number,
        pairs.baskets
    from pairs
    cross join sizes
    where
        pairs.baskets >= {{ var('affinity_min_baskets') }}
        and pairs.baskets >= {{ var('affinity_min_support') }} * sizes.baskets
),

both_directions as (
    select
        one_number as product_number,
        other_number as next_product_number,
        baskets
    from frequent_pairs

    union all

    select
        other_number as product_number,
        one_number as next_product_number,
        baskets
    from frequent_pairs
),

final as (
    select
        product.product_key,
        product.product_name,
        next_product.product_key as next_product_key,
        next_product.product_name as next_product_name,
        both_directions.baskets as both_baskets,
        sold.baskets as product_baskets,
        next_sold.baskets as next_product_baskets,
        sizes.baskets as all_baskets,
        {{ ratio('both_directions.baskets', 'sizes.baskets') }} as support,
        {{ ratio('both_directions.baskets', 'sold.baskets') }} as confidence,
        {{ ratio('both_directions.baskets * sizes.baskets', 'sold.baskets * next_sold.baskets') }} as lift
    from both_directions
    cross join sizes
    inner join sold_products as sold on both_directions.product_number = sold.product_number
    inner join sold_products as next_sold on both_directions.next_product_number = next_sold.product_number
    inner join products as product on sold.product_key = product.product_key
    inner join products as next_product on next_sold.product_key = next_product.product_key
)

select * from final
