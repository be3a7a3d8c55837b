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

{#-
  The columns of a row of rfm_cut_points: the cut points of one measure (linear interpolation, on doubles, since
  interpolating decimals would truncate them), or the values that the variable rfm_cut_points fixes.
-#}
{% macro rfm_cut_points(measure, value) -%}
    {%- set fixed = var('rfm_cut_points') -%}
        '{{ measure }}' as measure,
        {%- for share in [20, 40, 60, 80] %}
        {%- if measure in fixed %}
        cast({{ fixed[measure][loop.index0] }} as double) as cut_{{ share }},
        {%- else %}
        percentile_cont({{ share / 100 }}) within group (order by {{ value }}) as cut_{{ share }},
        {%- endif %}
        {%- endfor %}
        min({{ value }}) = max({{ value }}) as all_equal,
        '{{ "variable" if measure in fixed else "data" }}' as source
{%- endmacro %}
