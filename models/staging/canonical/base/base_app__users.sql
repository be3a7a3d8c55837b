{{ typed_rows(source('app', 'users')) }}
