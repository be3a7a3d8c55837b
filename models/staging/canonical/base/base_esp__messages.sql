{{ typed_rows(source('esp', 'messages'), by_part=true) }}
