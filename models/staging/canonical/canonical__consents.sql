{{ staged_rows('esp', 'consents') }}
