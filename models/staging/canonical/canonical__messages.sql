{{ staged_rows('esp', 'messages') }}
