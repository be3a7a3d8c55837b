{#-
  Money or a count of orders in the units of a loyalty tier's basis; points are whole. Both branches have one type:
  DuckDB would otherwise widen them to one without decimals.
-#}
{% macro tier_amount(amount, basis) -%}
    case
        when {{ basis }} = 'points' then {{ money('floor(cast(' ~ amount ~ ' as decimal(19, 4)) * ' ~ var('points_per_unit') ~ ')') }}
        else {{ money(amount) }}
    end
{%- endmacro %}
