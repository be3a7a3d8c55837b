{{ typed_rows(source('app', 'events')) }}
