{#- The stage of a customer who is no longer new or reactivated and not yet at risk, by the number of their orders. -#}
{% macro settled_stage(orders) %}
    case
        when {{ orders }} >= {{ var('loyal_min_orders') }} then 'loyal'
        when {{ orders }} >= 2 then 'repeat'
        else 'one_time'
    end
{%- endmacro %}
