{#- Two spellings of one e-mail address are one address. -#}
{% macro normalised_email(email) %}{{ return("nullif(lower(" ~ strip(email) ~ "), '')") }}{% endmacro %}

{#- A phone number as digits with a leading + where it is international; national numbers stay national. -#}
{% macro normalised_phone(phone) %}
    {{ return("nullif(" ~ replace_matches(replace_matches(phone, '[^0-9+]', ''), '^00', '+') ~ ", '')") }}
{% endmacro %}
