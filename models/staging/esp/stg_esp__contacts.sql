with contacts as (
    {{ canonical_rows('esp', 'contacts') }}
),

cleaned as (
    select
        -- ids
        source_system,
        contact_id,
        customer_id,
        -- text
        {{ written_email('email') }} as email,
        -- timestamps
        created_at
    from contacts
)

select * from cleaned
