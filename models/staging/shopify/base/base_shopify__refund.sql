{{ typed_rows(source('shopify', 'refund')) }}
