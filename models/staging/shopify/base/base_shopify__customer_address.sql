{{ typed_rows(source('shopify', 'customer_address')) }}
