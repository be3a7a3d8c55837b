{{ typed_rows(source('segment', 'pages')) }}
