{{ typed_rows(source('esp', 'messages')) }}
