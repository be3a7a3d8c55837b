{#- An id in two parts to sort by, so that 9 comes before 10 and #9 before #10: what stands before its last digits, and these as a number. -#}
{% macro text_before_number(id) %}{{ return(replace_matches(id, '[0-9]+$', '')) }}{% endmacro %}

{% macro number_at_end(id) %}
    {{ return("try_cast(substr(" ~ id ~ ", length(" ~ text_before_number(id) ~ ") + 1) as decimal(38, 0))") }}
{% endmacro %}
