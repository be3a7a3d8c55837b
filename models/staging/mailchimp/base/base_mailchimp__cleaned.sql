{{ typed_rows(source('mailchimp', 'cleaned')) }}
