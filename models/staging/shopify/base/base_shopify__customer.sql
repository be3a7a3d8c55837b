{{ typed_rows(source('shopify', 'customer')) }}
