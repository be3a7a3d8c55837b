{{ typed_rows(source('segment', 'tracks')) }}
