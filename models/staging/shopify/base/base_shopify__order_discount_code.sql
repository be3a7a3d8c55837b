{{ typed_rows(source('shopify', 'order_discount_code')) }}
