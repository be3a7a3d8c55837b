with referrals as (
    select * from {{ ref('base_shop__referrals') }}
    where row_status = 'staged'
),

cleaned as (
    select
        -- ids
        referral_id,
        referrer_customer_id,
        -- text
        {{ normalised_email('referee_email') }} as referee_email,
        -- timestamps
        invited_at,
        signed_up_at
    from referrals
)

select * from cleaned
