with customers as (
    select * from {{ ref('stg_shop__customers') }}
    where phone is not null
),

consents as (
    select * from {{ ref('stg_esp__consents') }}
    where phone is not null
),

suppressions as (
    select * from {{ ref('stg_esp__suppressions') }}
    where phone is not null
),

identity_map as (
    select * from {{ ref('int_identity_map') }}
),

profiles as (
    select * from {{ ref('int_profiles') }}
),

phone_keys as (
    select * from {{ ref('int_phone_keys') }}
    where problem is not null
),

remarked as (
    {%- for raw in active_raw_tables() %}
    select
        '{{ raw.source }}' as source,
        '{{ raw.table }}' as table_name,
        row_key,
        row_remark as remark
    from {{ ref('base_' ~ raw.source ~ '__' ~ raw.table) }}
    where row_status = 'staged' and row_remark is not null

    union all
    {% endfor %}
    select
        customers.source_system as source,
        'customers' as table_name,
        customers.customer_id as row_key,
        'phone: ' || phone_keys.problem || '; not written to' as remark
    from customers
    inner join identity_map
        on
            identity_map.role = 'shop'
            and customers.source_system = identity_map.source
            and customers.customer_id = identity_map.source_id
    inner join profiles on identity_map.person_id = profiles.person_id
    inner join phone_keys
        on
            customers.phone = phone_keys.phone
            and {{ phone_region('customers.country', 'profiles.country') }} = phone_keys.region
    {% for name in ['consents', 'suppressions'] %}
    union all

    select
        {{ name }}.source_system as source,
        '{{ name }}' as table_name,
        cast(null as string) as row_key,
        case
            when phone_keys.phone_key is null then 'phone: no phone number, says nothing of anybody'
            else 'phone: without its country or not to be dialled, a no to whoever has it and a yes to nobody'
        end as remark
    from {{ name }}
    inner join phone_keys on {{ name }}.phone = phone_keys.phone and phone_keys.region = ''
    {% endfor %}
)

select * from remarked
