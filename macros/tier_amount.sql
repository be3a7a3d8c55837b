{#-
  Money or a count of orders in the units of a loyalty tier's basis; points are whole. Both branches have one type:
  DuckDB would otherwise widen them to one without decimals. The points of a unit are written as a decimal, since SQL
  reads 1e-05 as floating point.
-#}
{% macro tier_amount(amount, basis) -%}
    case
        when {{ basis }} = 'points' then {{ money('floor(cast(' ~ amount ~ ' as decimal(19, 4)) * ' ~ '%.8f' % (var('points_per_unit') | float) ~ ')') }}
        else {{ money(amount) }}
    end
{%- endmacro %}
