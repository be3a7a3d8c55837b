-- a warning: an erasure by an address of several people erases none of them, see shared_erasures; give it by an id
{{ config(severity='warn') }}
select distinct
    address_type,
    address
from {{ ref('shared_erasures') }}
