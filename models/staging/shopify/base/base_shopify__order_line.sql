{{ typed_rows(source('shopify', 'order_line')) }}
