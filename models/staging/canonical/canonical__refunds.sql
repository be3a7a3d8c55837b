{{ staged_rows('shop', 'refunds') }}
