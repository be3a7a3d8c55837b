{{ typed_rows(source('klaviyo', 'suppressions')) }}
