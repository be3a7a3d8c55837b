{{ staged_rows('shop', 'order_items') }}
