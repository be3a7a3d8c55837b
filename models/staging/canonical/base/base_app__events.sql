{{ typed_rows(source('app', 'events'), by_part=true) }}
