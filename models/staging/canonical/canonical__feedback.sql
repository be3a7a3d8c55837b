{{ staged_rows('shop', 'feedback') }}
