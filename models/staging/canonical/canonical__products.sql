{{ staged_rows('shop', 'products') }}
