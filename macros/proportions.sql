{#- Two-sided 95 % confidence and 80 % power: quantiles of the normal distribution. -#}
{% macro z_95() %}{{ return('1.959963984540054') }}{% endmacro %}
{% macro z_80_power() %}{{ return('0.8416212335729143') }}{% endmacro %}

{#-
  The lower (sign -) or upper (sign +) bound of Wilson's 95 % score interval for a proportion (Wilson 1927): unlike the
  textbook interval it stays within 0 and 1, and holds for small samples and rare events.
-#}
{% macro wilson_bound(rate, n, sign) -%}
    (
        {{ rate }} + {{ z_95() }} * {{ z_95() }} / (2 * nullif({{ n }}, 0))
        {{ sign }} {{ z_95() }} * sqrt(
            {{ rate }} * (1 - {{ rate }}) / nullif({{ n }}, 0)
            + {{ z_95() }} * {{ z_95() }} / (4.0 * nullif({{ n }}, 0) * nullif({{ n }}, 0))
        )
    ) / (1 + {{ z_95() }} * {{ z_95() }} / nullif({{ n }}, 0))
{%- endmacro %}
