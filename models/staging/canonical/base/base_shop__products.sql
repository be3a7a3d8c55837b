{{ typed_rows(source('shop', 'products')) }}
