{{ staged_rows('app', 'events') }}
