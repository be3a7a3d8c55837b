{{ typed_rows(source('online_retail', 'lines')) }}
