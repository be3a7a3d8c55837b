{{ typed_rows(source('esp', 'consents')) }}
