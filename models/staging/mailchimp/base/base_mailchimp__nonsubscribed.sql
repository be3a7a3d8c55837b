{{ typed_rows(source('mailchimp', 'nonsubscribed')) }}
