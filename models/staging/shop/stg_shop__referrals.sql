with referrals as (
    {{ canonical_rows('shop', 'referrals') }}
),

cleaned as (
    select
        -- ids
        source_system,
        referral_id,
        referrer_customer_id,
        -- text
        {{ email_key('referee_email') }} as referee_email,
        -- timestamps
        invited_at,
        signed_up_at
    from referrals
)

select * from cleaned
