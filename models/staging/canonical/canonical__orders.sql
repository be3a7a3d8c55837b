{{ staged_rows('shop', 'orders') }}
