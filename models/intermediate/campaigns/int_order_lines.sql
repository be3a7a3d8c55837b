-- counted order × product, with the product's share of the order's amounts
with orders as (
    select * from {{ ref('int_orders') }}
),

order_items as (
    select * from {{ ref('stg_shop__order_items') }}
    where product_id is not null
),

product_lines as (
    select
        source_system as source,
        order_id,
        product_id,
        cast(sum(greatest(coalesce(quantity, 0), 0)) as bigint) as quantity,
        {{ money('sum(greatest(coalesce(quantity * unit_price, 0), 0))') }} as line_value
    from order_items
    group by source_system, order_id, product_id
),

-- an order whose lines have no value is shared equally
shares as (
    select
        orders.order_key,
        orders.person_id,
        orders.order_date,
        orders.gross_amount,
        orders.gross_amount - orders.discount_amount as sold_amount,
        orders.net_amount,
        orders.refunded_amount > 0 and orders.net_amount <= 0 as is_returned,
        product_lines.source || ':' || product_lines.product_id as product_key,
        product_lines.quantity,
        sum(product_lines.line_value) over so_far as value_so_far,
        sum(product_lines.line_value) over whole_order as order_value,
        row_number() over so_far as lines_so_far,
        count(*) over whole_order as order_lines
    from orders
    inner join product_lines on orders.source = product_lines.source and orders.order_id = product_lines.order_id
    window
        whole_order as (partition by orders.order_key),
        so_far as (partition by orders.order_key order by product_lines.product_id rows unbounded preceding)
),

-- differences of rounded running sums, so that the lines of an order add up to it
running as (
    select
        order_key,
        product_key,
        {%- for amount in ['gross', 'sold', 'net'] %}
        coalesce(
            {{ money_share(amount ~ '_amount', 'value_so_far', 'order_value') }},
            {{ money_share(amount ~ '_amount', 'lines_so_far', 'order_lines') }}
        ) as {{ amount }}_so_far,
        {%- endfor %}
        person_id,
        order_date,
        quantity,
        is_returned
    from shares
),

lines as (
    select
        order_key,
        product_key,
        person_id,
        order_date,
        quantity,
        {%- for amount in ['gross', 'sold', 'net'] %}
        {{ money(
            amount ~ '_so_far - coalesce(lag(' ~ amount ~ '_so_far) over (partition by order_key order by product_key), 0)'
        ) }} as {{ amount }}_amount,
        {%- endfor %}
        is_returned
    from running
),

-- as of an order: an order without discount or refund has none on any line, and one that went back leaves exactly 0 on each
final as (
    select
        order_key,
        product_key,
        person_id,
        order_date,
        quantity,
        gross_amount,
        {{ money('gross_amount - sold_amount') }} as discount_amount,
        {{ money('sold_amount - net_amount') }} as refunded_amount,
        net_amount,
        is_returned
    from lines
)

select * from final
