{{ staged_rows('shop', 'subscriptions') }}
