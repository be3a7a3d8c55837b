{{ typed_rows(source('shop', 'customers')) }}
