{#- Everything that is wrong with the variables, each as one line that says how to mend it. -#}
{% macro variable_problems() %}
    {%- set problems = [] -%}
    {%- set known = known_sources() -%}
    {%- set sources = var('sources') -%}
    {%- if sources is string or sources is not sequence or not sources -%}
        {%- do problems.append("variable sources: a list is needed, such as [orders_file]; known: " ~ known | join(', ')) -%}
    {%- else -%}
        {%- for name in sources if name not in known -%}
            {%- do problems.append("variable sources: unknown source '" ~ name ~ "'; known: " ~ known | join(', ')) -%}
        {%- endfor -%}
    {%- endif -%}

    {%- if var('raw_databases') and var('raw_databases') is not mapping -%}
        {%- do problems.append("variable raw_databases: a mapping is needed, such as {shop: {database: loader, schema: shop_raw}}") -%}
    {%- else -%}
        {%- for key, value in (var('raw_databases') or {}).items()
            if value is not mapping or not value.schema or value.keys() | reject('in', ['database', 'schema']) | list -%}
            {%- do problems.append("variable raw_databases." ~ key ~ ": `schema` is needed, `database` may be there, nothing else; credentials belong in profiles.yml or the environment") -%}
        {%- endfor -%}
    {%- endif -%}

    {%- if target.type == 'duckdb' and (target.database in ['raw_import', 'staging', 'intermediate', 'marts', 'audiences', 'seeds', 'audit', 'main'] or '.' in target.database) -%}
        {%- do problems.append("LIFECYCLE_WAREHOUSE: DuckDB cannot tell a file called '" ~ target.database ~ "' from a schema; rename it") -%}
    {%- endif -%}

    {%- for name in ['as_of_date', 'earliest_plausible_date'] if not is_day(var(name)) and (var(name) is not none or name != 'as_of_date') -%}
        {%- do problems.append("variable " ~ name ~ ": '" ~ var(name) ~ "' is not a date; write it as YYYY-MM-DD") -%}
    {%- endfor -%}
    {%- if not modules.re.fullmatch('[A-Z]{3}', reporting_currency()) -%}
        {%- do problems.append("variable reporting_currency: '" ~ var('reporting_currency') ~ "' is no ISO 4217 code, such as EUR") -%}
    {%- endif -%}
    {%- if var('phone_country') is not none and not modules.re.fullmatch('[A-Z]{2}', var('phone_country') | string) -%}
        {%- do problems.append("variable phone_country: '" ~ var('phone_country') ~ "' is no ISO 3166-1 code of a country, such as DE") -%}
    {%- endif -%}
    {%- set own = var('own_imports') -%}
    {%- if own is string or own is not sequence or own | reject('string') | list -%}
        {%- do problems.append("variable own_imports: a list of texts is needed, such as [customer_lifecycle]") -%}
    {%- endif -%}
    {%- if var('key_file') is not none and var('key_file') is not string -%}
        {%- do problems.append("variable key_file: a path is needed") -%}
    {%- endif -%}
    {%- do problems.extend(source_settings_problems()) -%}
    {%- if var('business_time_zone') not in modules.pytz.all_timezones -%}
        {%- do problems.append("variable business_time_zone: '" ~ var('business_time_zone') ~ "' is no IANA time zone, such as Europe/Berlin") -%}
    {%- endif -%}

    {%- for name in ['loyal_min_orders', 'active_days', 'new_days', 'evaluating_days', 'evaluating_product_views',
                     'max_records_per_email', 'min_group_size', 'at_risk_after_days', 'lapsed_after_days',
                     'max_basket_products', 'affinity_min_baskets', 'next_product_rules', 'replacement_lead_days',
                     'replacement_overdue_days', 'tier_review_days', 'contact_window_days', 'fatigue_cap', 'feedback_days',
                     'touchpoint_days', 'silent_after_days', 'onboarding_days', 'goal_window_days', 'comeback_window_days',
                     'habit_min_active_days', 'habit_min_events', 'habit_message_days', 'habit_ignored_messages', 'habit_gone_messages',
                     'upgrade_after_days', 'stuck_after_days', 'browsed_days', 'wished_days'] -%}
        {%- set value = var(name) -%}
        {%- set may_be_null = name in ['at_risk_after_days', 'lapsed_after_days'] -%}
        {%- if not (value is none and may_be_null) and (value is not integer or value is boolean or value < 1) -%}
            {%- do problems.append("variable " ~ name ~ ": '" ~ value ~ "' must be a whole number, 1 or more") -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if var('loyal_min_orders') is integer and var('loyal_min_orders') < 2 -%}
        {%- do problems.append("variable loyal_min_orders: loyal customers are repeat customers, so it must be 2 or more") -%}
    {%- endif -%}
    {%- if var('habit_min_active_days') is integer and var('habit_min_active_days') < 2 -%}
        {%- do problems.append("variable habit_min_active_days: one day has no days between, so it must be 2 or more") -%}
    {%- endif -%}
    {%- if var('habit_ignored_messages') is integer and var('habit_gone_messages') is integer and var('habit_ignored_messages') >= var('habit_gone_messages') -%}
        {%- do problems.append("variables habit_ignored_messages (" ~ var('habit_ignored_messages') ~ ") and habit_gone_messages ("
            ~ var('habit_gone_messages') ~ "): who ignores messages is not gone yet, so the first must be smaller") -%}
    {%- endif -%}
    {%- set at_risk, lapsed = var('at_risk_after_days'), var('lapsed_after_days') -%}
    {%- if at_risk is integer and lapsed is integer and at_risk >= lapsed -%}
        {%- do problems.append("variables at_risk_after_days (" ~ at_risk ~ ") and lapsed_after_days (" ~ lapsed ~ "): at risk must come before lapsed") -%}
    {%- endif -%}

    {%- for measure, cuts in var('rfm_cut_points').items() -%}
        {%- if measure not in ['recency', 'frequency', 'monetary'] or cuts | length != 4 or cuts | sort != cuts -%}
            {%- do problems.append("variable rfm_cut_points." ~ measure ~ ": four rising numbers for recency, frequency or monetary are needed") -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if var('cohort_dimension') not in ['acquisition_channel', 'country', 'first_category'] -%}
        {%- do problems.append("variable cohort_dimension: '" ~ var('cohort_dimension') ~ "' must be acquisition_channel, country or first_category") -%}
    {%- endif -%}
    {%- for name in ['affinity_min_support', 'max_lapsed_return_share', 'tier_near_share'] -%}
        {%- if var(name) is not number or not 0 <= var(name) <= 1 -%}
            {%- do problems.append("variable " ~ name ~ ": '" ~ var(name) ~ "' must be a number from 0 to 1") -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if var('habit_slip_ratio') is not number or var('habit_slip_ratio') <= 0 -%}
        {%- do problems.append("variable habit_slip_ratio: '" ~ var('habit_slip_ratio') ~ "' must be a number above 0") -%}
    {%- endif -%}
    {%- if var('points_per_unit') is not number or var('points_per_unit') <= 0 -%}
        {%- do problems.append("variable points_per_unit: '" ~ var('points_per_unit') ~ "' must be a number above 0") -%}
    {%- endif -%}
    {%- if var('customer_years') is not none and (var('customer_years') is not number or var('customer_years') <= 0) -%}
        {%- do problems.append("variable customer_years: '" ~ var('customer_years') ~ "' must be a number above 0, or null") -%}
    {%- endif -%}
    {%- for name in ['holdout_salt', 'high_value_region'] if var(name) is not string or not var(name) -%}
        {%- do problems.append("variable " ~ name ~ ": '" ~ var(name) ~ "' must be a text") -%}
    {%- endfor -%}
    {%- if var('prefix_schemas') is not boolean -%}
        {%- do problems.append("variable prefix_schemas: '" ~ var('prefix_schemas') ~ "' must be true or false") -%}
    {%- endif -%}
    {%- if var('business_model') not in ['retail', 'b2b'] -%}
        {%- do problems.append("variable business_model: '" ~ var('business_model') ~ "' must be retail or b2b") -%}
    {%- endif -%}
    {%- for name in ['high_value_score', 'low_value_score'] if var(name) is not integer or var(name) is boolean or not 1 <= var(name) <= 5 -%}
        {%- do problems.append("variable " ~ name ~ ": '" ~ var(name) ~ "' must be a score from 1 to 5") -%}
    {%- endfor -%}
    {{ return(problems) }}
{% endmacro %}


{#- Is it a day of the calendar, written as YYYY-MM-DD? -#}
{% macro is_day(text) %}
    {%- if not modules.re.fullmatch('\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])', text | string) -%}{{ return(false) }}{%- endif -%}
    {%- set year, month, day = (text | string).split('-') | map('int') -%}
    {%- set leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) -%}
    {{ return(day <= [31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]) }}
{% endmacro %}
