{{ staged_rows('esp', 'campaigns') }}
