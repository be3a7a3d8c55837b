{#-
  What a customer is worth over the whole relation, in money: the average order × orders a year × years to come. The years
  are a fraction of two numbers, so that nothing is rounded on the way.
-#}
{% macro simple_clv(average_order_value, orders_a_year, years_dividend, years_divisor) -%}
    {{ money_share(average_order_value ~ ' * ' ~ orders_a_year, years_dividend, years_divisor) }}
{%- endmacro %}
