{{ typed_rows(source('segment', 'screens')) }}
