{{ staged_rows('esp', 'suppressions') }}
