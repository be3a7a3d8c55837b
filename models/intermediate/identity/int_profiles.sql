-- person × profile: each attribute of the first record that has it; open accounts, app users, contacts, others, closed ones
with identity_map as (
    select * from {{ ref('int_identity_map') }}
),

customers as (
    select * from {{ ref('stg_shop__customers') }}
),

users as (
    select * from {{ ref('stg_app__users') }}
),

as_of as (
    select * from {{ ref('int_as_of') }}
),

described as (
    select
        identity_map.person_id,
        identity_map.record_key,
        identity_map.role,
        identity_map.source_id,
        identity_map.created_at,
        identity_map.email,
        identity_map.email_key,
        customers.phone,
        customers.country as phone_country,
        customers.first_name,
        customers.last_name,
        coalesce(customers.country, users.default_country) as country,
        coalesce(customers.region, users.default_region) as region,
        coalesce(customers.city, users.default_city) as city,
        customers.language,
        customers.time_zone,
        customers.postal_code,
        customers.birth_date,
        customers.gender,
        customers.acquisition_channel,
        customers.customer_id is not null as is_account,
        coalesce(customers.deleted_at < as_of.as_of_end, false) as is_closed,
        case
            when customers.deleted_at < as_of.as_of_end then '0'
            when identity_map.role = 'shop' and identity_map.source_id is not null then '4'
            when identity_map.role = 'app' then '3'
            when identity_map.role = 'esp' then '2'
            else '1'
        end
        -- the blank sorts before the point of a fraction of a second
        || cast(coalesce(customers.updated_at, identity_map.created_at) as string) || ' '
        || identity_map.record_key as precedence,
        cast(identity_map.created_at as string) || ' ' || identity_map.record_key as seniority
    from identity_map
    cross join as_of
    left join customers
        on
            identity_map.role = 'shop'
            and identity_map.source = customers.source_system
            and identity_map.source_id = customers.customer_id
    left join users
        on
            identity_map.role = 'app'
            and identity_map.source = users.source_system
            and identity_map.source_id = users.user_id
),

profiles as (
    select
        person_id,
        coalesce(
            min_by(source_id, seniority) filter (where role = 'shop' and source_id is not null),
            min_by(source_id, seniority) filter (where source_id is not null)
        ) as primary_customer_id,
        max_by(source_id, precedence) filter (where role = 'app') as app_user_id,
        {%- for attribute in [
            'email', 'email_key', 'phone', 'first_name', 'last_name', 'country', 'region', 'city', 'language', 'time_zone',
            'postal_code', 'birth_date', 'gender', 'acquisition_channel',
        ] %}
        max_by({{ attribute }}, precedence) filter (where {{ attribute }} is not null) as {{ attribute }},
        {%- endfor %}
        max_by(coalesce(phone_country, ''), precedence) filter (where phone is not null) as phone_country,
        -- closed only if every account is
        coalesce(bool_and(is_closed) filter (where is_account), false) as is_account_closed
    from described
    group by person_id
),

with_region as (
    select
        profiles.*,
        {{ phone_region("nullif(profiles.phone_country, '')", 'profiles.country') }} as phone_region
    from profiles
)

select * from with_region
