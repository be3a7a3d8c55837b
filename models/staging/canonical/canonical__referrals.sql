{{ staged_rows('shop', 'referrals') }}
