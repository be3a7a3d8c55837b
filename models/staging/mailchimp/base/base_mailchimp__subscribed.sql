{{ typed_rows(source('mailchimp', 'subscribed')) }}
