-- a profile without a date of its own was there when it first said something
with profiles as (
    select * from {{ ref('base_klaviyo__profiles') }}
    where row_status = 'staged' and klaviyo_id is not null
),

dated as (
    select
        klaviyo_id,
        email,
        external_id,
        coalesce(
            created_at,
            case when sms_consent_at < email_consent_at then sms_consent_at else email_consent_at end,
            sms_consent_at
        ) as created_at
    from profiles
),

-- in the exports of several lists a profile comes several times
contacts as (
    select
        klaviyo_id as contact_id,
        {{ customer_id_of_shop('klaviyo', 'max(external_id)') }} as customer_id,
        max(email) as email,
        min(created_at) as created_at
    from dated
    where created_at is not null
    group by klaviyo_id
)

select * from contacts
