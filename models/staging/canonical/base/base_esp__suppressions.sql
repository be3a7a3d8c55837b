{{ typed_rows(source('esp', 'suppressions')) }}
