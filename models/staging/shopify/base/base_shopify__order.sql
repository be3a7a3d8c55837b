{{ typed_rows(
    source('shopify', 'order'),
    reject_when={'currency: no exchange rate (seed exchange_rates)': 'not ' ~ has_exchange_rate('currency', 'coalesce(processed_at, created_at)')}
) }}
