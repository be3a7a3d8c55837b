{{ typed_rows(
    source('shopify', 'order'),
    reject_when=[without_exchange_rate('currency', 'coalesce(processed_at, created_at)')]
) }}
