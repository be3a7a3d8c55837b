{{ typed_rows(source('segment', 'users')) }}
