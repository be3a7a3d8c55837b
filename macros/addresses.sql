{#- Two spellings of one e-mail address are one address. -#}
{% macro normalised_email(email) %}{{ return("nullif(lower(" ~ strip(email) ~ "), '')") }}{% endmacro %}

{#- A phone number as digits with a leading + where it is international; national numbers stay national. The (0)
    of "+44 (0)20 ..." is not dialled from abroad. -#}
{% macro normalised_phone(phone) %}
    {%- set bare = replace_matches(replace_matches(phone, '[(]0[)]', ''), '[^0-9+]', '') %}
    {{ return("nullif(" ~ replace_matches(bare, '^00', '+') ~ ", '')") }}
{% endmacro %}
