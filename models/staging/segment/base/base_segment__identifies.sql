{{ typed_rows(source('segment', 'identifies')) }}
