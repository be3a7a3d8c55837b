{#- Two spellings of one e-mail address are one address; what has no @ is none. -#}
{% macro normalised_email(email) %}{{ return("case when " ~ email ~ " like '%_@_%' then lower(" ~ strip(email) ~ ") end") }}{% endmacro %}

{#- A phone number as digits with a leading + where it is international; national numbers stay national. The (0)
    of "+44 (0)20 ..." is not dialled from abroad. -#}
{% macro normalised_phone(phone) %}
    {%- set bare = replace_matches(replace_matches(phone, '[(]0[)]', ''), '[^0-9+]', '') %}
    {{ return("nullif(" ~ replace_matches(bare, '^00', '+') ~ ", '')") }}
{% endmacro %}

{#- A person's name to compare: two spellings that differ by case or blanks are one. -#}
{% macro name_key(name) %}{{ return("nullif(lower(" ~ strip(replace_matches(name, '[\\p{Z}\\p{C}]+', ' ')) ~ "), '')") }}{% endmacro %}
