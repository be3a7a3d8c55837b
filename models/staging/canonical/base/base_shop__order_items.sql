{{ typed_rows(source('shop', 'order_items')) }}
