-- recomputed from what was said, not through the models that decide: no suppression and no opt-out without a later opt-in
with contactable as (
    select
        channels.person_id,
        channels.channel,
        addresses.address
    from {{ ref('customer_channels') }} as channels
    inner join {{ ref('int_person_addresses') }} as addresses on channels.person_id = addresses.person_id
    where channels.can_contact
),

consents as (
    select * from {{ ref('stg_esp__consents') }}
),

suppressed as (
    select
        contactable.person_id,
        contactable.channel
    from contactable
    inner join {{ ref('stg_esp__suppressions') }} as said
        on
            contactable.address in (said.email, said.phone, said.user_id)
            and coalesce(said.channel, contactable.channel) = contactable.channel
    where said.reason != 'hard_bounce'
),

opted_out as (
    select
        contactable.person_id,
        contactable.channel
    from contactable
    inner join consents as said
        on
            contactable.address in (said.email, said.phone, said.user_id)
            and coalesce(said.channel, contactable.channel) = contactable.channel
            and said.status != 'opted_in'
    where not exists (
        select 1
        from consents as later
        where
            later.status = 'opted_in'
            and later.channel = contactable.channel
            and later.changed_at_utc > said.changed_at_utc
            and contactable.address in (later.email, later.phone, later.user_id)
    )
)

select * from suppressed
union all
select * from opted_out
