{{ typed_rows(source('esp', 'campaigns')) }}
