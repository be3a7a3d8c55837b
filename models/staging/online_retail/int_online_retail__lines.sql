with lines as (
    select * from {{ ref('base_online_retail__lines') }}
    where row_status = 'staged'
),

cleaned as (
    select
        -- ids
        upper(invoice) as invoice,
        upper(stock_code) as stock_code,
        customer_id,
        -- text
        description,
        country,
        -- numerics
        quantity,
        price,
        -- timestamps
        invoice_date as invoiced_at
    from lines
)

select * from cleaned
