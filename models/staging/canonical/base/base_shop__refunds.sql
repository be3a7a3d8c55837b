{{ typed_rows(source('shop', 'refunds')) }}
