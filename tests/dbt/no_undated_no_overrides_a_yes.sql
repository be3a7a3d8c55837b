-- a warning: a file that cannot tell never asked from unsubscribed may mean silence, see source_settings.<source>.undated_no
{{ config(severity='warn') }}
select
    address_type,
    address,
    channel
from {{ ref('int_consent_states') }}
where overridden_opt_in_at is not null
