{{ typed_rows(source('klaviyo', 'profiles')) }}
