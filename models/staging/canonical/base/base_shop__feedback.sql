{{ typed_rows(source('shop', 'feedback')) }}
