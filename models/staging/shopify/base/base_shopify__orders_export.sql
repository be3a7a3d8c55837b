{#- What is said once per order stands on its first row, which alone has the id. -#}
{{ typed_rows(
    source('shopify', 'orders_export'),
    reject_when={
        'created_at: missing': 'id is not null and created_at is null',
        'total: missing': 'id is not null and total is null',
        'currency: no exchange rate (seed exchange_rates)': 'id is not null and not ' ~ has_exchange_rate('currency', 'created_at'),
    }
) }}
