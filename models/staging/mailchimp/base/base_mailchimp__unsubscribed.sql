{{ typed_rows(source('mailchimp', 'unsubscribed')) }}
