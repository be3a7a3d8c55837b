{{ typed_rows(source('shop', 'referrals')) }}
