{{ staged_rows('shop', 'customers') }}
