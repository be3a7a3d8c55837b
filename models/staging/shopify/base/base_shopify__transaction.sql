{{ typed_rows(source('shopify', 'transaction')) }}
