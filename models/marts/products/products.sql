{%- set follow_up_days = 90 -%}
with products as (
    select * from {{ ref('int_products') }}
),

order_lines as (
    select * from {{ ref('order_lines') }}
),

orders as (
    select * from {{ ref('orders') }}
    where person_id is not null
),

following_products as (
    select * from {{ ref('int_following_products') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

sales as (
    select
        product_key,
        count(*) as orders,
        cast(sum(quantity) as bigint) as units,
        {{ money('sum(gross_amount)') }} as gross_revenue,
        {{ money('sum(net_amount)') }} as net_revenue,
        {{ money('sum(margin_amount)') }} as margin
    from order_lines
    group by product_key
),

person_products as (
    select
        product_key,
        person_id,
        count(*) as orders,
        bool_or(is_first_order) as is_bought_first
    from order_lines
    where person_id is not null
    group by product_key, person_id
),

second_orders as (
    select
        person_id,
        days_since_previous_order as days_since_first_order
    from orders
    where order_number = 2
),

first_orders as (
    select
        orders.person_id,
        second_orders.days_since_first_order,
        {{ add_days('orders.order_date', follow_up_days) }} <= as_of.as_of_date as is_followed
    from orders
    cross join as_of
    left join second_orders on orders.person_id = second_orders.person_id
    where orders.order_number = 1
),

buyers as (
    select
        person_products.product_key,
        count(*) as buyers,
        count(case when person_products.orders > 1 then 1 end) as repeat_buyers,
        count(first_orders.person_id) as first_buyers,
        count(first_orders.days_since_first_order) as second_order_customers,
        percentile_cont(0.5) within group (order by cast(first_orders.days_since_first_order as double))
            as median_days_to_second_order,
        count(case when first_orders.is_followed then 1 end) as followed_first_buyers,
        count(
            case when first_orders.is_followed and first_orders.days_since_first_order <= {{ follow_up_days }} then 1 end
        ) as followed_second_order_customers
    from person_products
    left join first_orders on person_products.person_id = first_orders.person_id and person_products.is_bought_first
    group by person_products.product_key
),

final as (
    select
        products.product_key,
        products.source,
        products.product_id,
        products.product_name,
        products.category,
        products.brand,
        coalesce(buyers.buyers, 0) as buyers,
        coalesce(sales.orders, 0) as orders,
        coalesce(sales.units, 0) as units,
        coalesce(sales.gross_revenue, 0) as gross_revenue,
        coalesce(sales.net_revenue, 0) as net_revenue,
        sales.margin,
        coalesce(buyers.first_buyers, 0) as first_buyers,
        {{ ratio('buyers.first_buyers', 'buyers.buyers') }} as first_buyer_share,
        coalesce(buyers.second_order_customers, 0) as second_order_customers,
        {{ ratio('buyers.second_order_customers', 'buyers.first_buyers') }} as second_order_rate,
        buyers.median_days_to_second_order,
        coalesce(buyers.followed_first_buyers, 0) as followed_first_buyers,
        {{ ratio('buyers.followed_second_order_customers', 'buyers.followed_first_buyers') }} as second_order_rate_90d,
        coalesce(buyers.repeat_buyers, 0) as repeat_buyers,
        {{ ratio('buyers.repeat_buyers', 'buyers.buyers') }} as repeat_rate,
        following_products.next_product_key,
        next_products.product_name as next_product_name,
        following_products.next_product_orders,
        {{ ratio('following_products.next_product_orders', 'following_products.followed_orders') }} as next_product_share
    from products
    left join sales on products.product_key = sales.product_key
    left join buyers on products.product_key = buyers.product_key
    left join following_products on products.product_key = following_products.product_key
    left join products as next_products on following_products.next_product_key = next_products.product_key
)

select * from final
