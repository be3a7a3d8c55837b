{#-
  1 + the number of cut points that a value strictly exceeds (for recency: falls strictly below), so 5 is best and
  equal values always score alike. If all recencies are equal, R = 5. `cuts` is a row of rfm_cut_points.
-#}
{% macro rfm_score(value, cuts) -%}
    case
        when {{ cuts }}.measure != 'recency'
            then 1
                + case when {{ value }} > {{ cuts }}.cut_20 then 1 else 0 end
                + case when {{ value }} > {{ cuts }}.cut_40 then 1 else 0 end
                + case when {{ value }} > {{ cuts }}.cut_60 then 1 else 0 end
                + case when {{ value }} > {{ cuts }}.cut_80 then 1 else 0 end
        when {{ cuts }}.all_equal and {{ cuts }}.source = 'data' then 5
        else 1
            + case when {{ value }} < {{ cuts }}.cut_20 then 1 else 0 end
            + case when {{ value }} < {{ cuts }}.cut_40 then 1 else 0 end
            + case when {{ value }} < {{ cuts }}.cut_60 then 1 else 0 end
            + case when {{ value }} < {{ cuts }}.cut_80 then 1 else 0 end
    end
{%- endmacro %}
