{#- What is said once per order stands on its first row, which alone has the id. -#}
{{ typed_rows(
    source('shopify', 'orders_export'),
    reject_when=[
        "when id is not null and created_at is null then 'created_at: missing'",
        "when id is not null and total is null then 'total: missing'",
        without_exchange_rate('currency', 'created_at'),
    ]
) }}
