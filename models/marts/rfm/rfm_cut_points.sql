{%- set measures = {'recency': 'recency_days', 'frequency': 'orders_count', 'monetary': 'net_revenue'} -%}

with customers as (
    select * from {{ ref('int_person_facts') }}
    where orders_count > 0
),

measured as (
    {%- for measure, column in measures.items() %}
    select
        '{{ measure }}' as measure,
        cast({{ column }} as double) as value
    from customers
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

cut_points as (
    {%- for measure in measures %}
    select
        {{ rfm_cut_points(measure, 'value') }},
        count(*) as customers
    from measured
    where measure = '{{ measure }}'
    having count(*) > 0
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

scores_in_use as (
    select
        cut_points.measure,
        count(distinct {{ rfm_score('measured.value', 'cut_points') }}) as scores_in_use
    from cut_points
    inner join measured on cut_points.measure = measured.measure
    group by cut_points.measure
),

final as (
    select
        cut_points.measure,
        cut_points.cut_20,
        cut_points.cut_40,
        cut_points.cut_60,
        cut_points.cut_80,
        cut_points.all_equal,
        cut_points.source,
        cut_points.customers,
        scores_in_use.scores_in_use
    from cut_points
    inner join scores_in_use on cut_points.measure = scores_in_use.measure
)

select * from final
