{{ typed_rows(source('esp', 'contacts')) }}
