{{ staged_rows('esp', 'contacts') }}
