with contacts as (
    select * from {{ ref('base_esp__contacts') }}
    where row_status = 'staged'
),

cleaned as (
    select
        -- ids
        contact_id,
        customer_id,
        -- text
        {{ normalised_email('email') }} as email,
        -- timestamps
        created_at
    from contacts
)

select * from cleaned
