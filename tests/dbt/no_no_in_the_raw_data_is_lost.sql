-- from the raw tables themselves, messages included, whatever staging made of them:
-- who said no, and not yes later, is not contacted
{%- set tables, times = {}, {} %}
{%- if 'esp' in active_sources() %}
{%- for name, time in [('consents', 'changed_at'), ('suppressions', none), ('messages', 'unsubscribed_at')] %}
{%- set relation = source('esp', name) %}
{%- set columns = {} %}
{%- for column in (adapter.get_columns_in_relation(relation) if execute else []) %}
{%- do columns.update({column.name: physical_type(column)}) %}
{%- endfor %}
{%- do tables.update({name: relation}) %}
{%- if time and execute %}
{%- set declared = raw_tables() | selectattr('identifier', 'equalto', relation.identifier) | first %}
{%- set instance = 'instance' if 'instance' in columns else none %}
{%- set physical = columns.get(time, 'VARCHAR') %}
{%- do times.update({name: typed_column(time, declared.columns[time], 'esp', physical, instance, utc=true)}) %}
{%- endif %}
{%- endfor %}
{%- endif %}
with said as (
    {%- if times %}
    select
        cast(email as string) as email,
        cast(phone as string) as phone,
        cast(user_id as string) as user_id,
        lower({{ strip('cast(channel as string)') }}) as channel,
        coalesce(lower({{ strip('cast(status as string)') }}) = 'opted_in', false) as is_yes,
        {{ times.consents }} as said_at,
        changed_at is not null as has_time
    from {{ tables.consents }}
    where not {{ is_own_import('cast(source as string)') }}

    union all

    select
        cast(email as string) as email,
        null as phone,
        null as user_id,
        'email' as channel,
        false as is_yes,
        {{ times.messages }} as said_at,
        true as has_time
    from {{ tables.messages }}
    where unsubscribed_at is not null

    union all

    -- whatever consent follows: a no without a time
    select
        cast(email as string) as email,
        cast(phone as string) as phone,
        cast(user_id as string) as user_id,
        lower({{ strip('cast(channel as string)') }}) as channel,
        false as is_yes,
        null as said_at,
        true as has_time
    from {{ tables.suppressions }}
    where
        coalesce(lower({{ strip('cast(reason as string)') }}), 'unsubscribed') != 'hard_bounce'
        and not {{ is_own_import('cast(reason as string)') }}

    union all

    select
        cast(email as string) as email,
        null as phone,
        null as user_id,
        'email' as channel,
        false as is_yes,
        null as said_at,
        true as has_time
    from {{ tables.messages }}
    where complained_at is not null

    union all

    {% endif %}
    -- a later yes may have been said to another system
    select
        email,
        phone,
        user_id,
        channel,
        true as is_yes,
        changed_at_utc as said_at,
        true as has_time
    from {{ ref('stg_esp__consents') }}
    where source_system != 'esp' and status = 'opted_in'
),

addressed as (
    {%- for address_type, address in [
        ('email', email_key('email')),
        ('user_id', strip('user_id'))
    ] %}
    select
        '{{ address_type }}' as address_type,
        {{ address }} as address,
        channel,
        is_yes,
        said_at,
        has_time
    from said
    where {{ address_type }} is not null

    union all
    {%- endfor %}

    select
        'phone' as address_type,
        phone_keys.phone_key as address,
        said.channel,
        said.is_yes,
        said.said_at,
        said.has_time
    from said
    inner join {{ ref('int_phone_keys') }} as phone_keys
        on {{ strip('said.phone') }} = phone_keys.phone and phone_keys.region = ''
),

-- by the address that somebody has: a number without its country is a no to it under that name, and no yes
meant as (
    select
        keys.address_type,
        keys.address,
        addressed.channel,
        addressed.is_yes,
        addressed.said_at,
        addressed.has_time
    from addressed
    inner join {{ ref('int_address_keys') }} as keys
        on addressed.address_type = keys.key_type and addressed.address = keys.key
    where (not addressed.is_yes and keys.people = 1) or (addressed.is_yes and keys.key = keys.address)
),

channels as (
    select * from {{ ref('channels') }}
),

per_channel as (
    select
        meant.address_type,
        meant.address,
        channels.channel,
        max(
            case
                when meant.is_yes and meant.said_at < {{ wall_clock_to_utc('as_of.as_of_end') }} then meant.said_at
            end
        ) as last_yes_at,
        max(case when not meant.is_yes then meant.said_at end) as last_no_at,
        count(case when not meant.is_yes and meant.said_at is null then 1 end) as undated_noes,
        count(case when not meant.is_yes and not meant.has_time then 1 end) as timeless_noes
    from meant
    cross join {{ ref('int_as_of') }} as as_of
    inner join channels
        on
            meant.channel = channels.channel
            or (not meant.is_yes and coalesce(meant.channel not in (select known.channel from channels as known), true))
    group by meant.address_type, meant.address, channels.channel
),

noes as (
    select
        address_type,
        address,
        channel
    from per_channel
    where
        undated_noes {{ '- timeless_noes ' if execute and source_settings('esp').undated_no }}> 0
        or last_no_at >= coalesce(last_yes_at, last_no_at)

    union

    -- and every address in a line that cannot be read
    select
        'email' as address_type,
        {{ email_key('email') }} as address,
        'email' as channel
    from (
        select {{ each_match('raw_line', '[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+[A-Za-z]') }} as email
        from {{ source('raw_files', 'unreadable_lines') }}
        where source = 'esp' and table_name in ('consents', 'suppressions', 'messages')
    ) as written
)

select
    channels.person_id,
    channels.channel
from {{ ref('customer_channels') }} as channels
inner join {{ ref('int_person_addresses') }} as addresses on channels.person_id = addresses.person_id
inner join noes
    on addresses.address_type = noes.address_type and addresses.address = noes.address and channels.channel = noes.channel
where channels.can_contact
