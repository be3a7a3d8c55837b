{{ staged_rows('app', 'users') }}
