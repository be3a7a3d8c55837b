{{ typed_rows(
    source('shop', 'orders'),
    reject_when={'currency: no exchange rate (seed exchange_rates)': 'not ' ~ has_exchange_rate('currency', 'ordered_at')}
) }}
