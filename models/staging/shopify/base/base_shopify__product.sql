{{ typed_rows(source('shopify', 'product')) }}
