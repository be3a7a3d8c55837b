{#- Money or a count of orders in the units of a loyalty tier's basis; points are whole. -#}
{% macro tier_amount(amount, basis) -%}
    case when {{ basis }} = 'points' then floor({{ amount }} * {{ var('points_per_unit') }}) else {{ amount }} end
{%- endmacro %}
