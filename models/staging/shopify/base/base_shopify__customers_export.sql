{{ typed_rows(source('shopify', 'customers_export')) }}
