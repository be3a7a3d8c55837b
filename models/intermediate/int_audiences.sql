-- the audience files as rows: what their meta says of them
{{ audience_rows() }}
