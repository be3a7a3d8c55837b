{#- What a customer is worth over the whole relation: the average order, orders a year and years to come, in money. -#}
{% macro simple_clv(average_order_value, orders_a_year, years) -%}
    {{ money(money(average_order_value ~ ' * ' ~ orders_a_year) ~ ' * cast(' ~ years ~ ' as decimal(20, 18))') }}
{%- endmacro %}
