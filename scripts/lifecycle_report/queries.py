"""What the report reads: the published file, and of it only marts about groups of people."""

import duckdb

from common import WRONG, Problem, quoted

MONTHS = 24  # that charts go back before the latest one
COHORTS, PERIODS = 24, 12  # of the heat map
LOCATIONS, LISTED = 12, 40  # rows of the locations, and of every other list that can be long
MIN_SPELLS = 30  # of return_curve: of fewer the share is noise

# every number of the report comes from one of these, over marts about groups of people
QUERIES = {
    "settings": "select *, as_of_date - (active_days - 1) as active_since from build_settings",
    "today": """select users, customers, repeat_customers, loyal_customers, active_users, passive_users
        from lifecycle_metrics where metric_date = (select as_of_date from build_settings)""",
    "year_ago": """select users, customers
        from lifecycle_metrics where metric_date = (select as_of_date - interval 1 year from build_settings)""",
    "metrics": "from metric_health order by position",
    "trend": f"""select metric_date, users, customers, active_users, passive_users, user_activation_rate,
            repeat_customer_rate, loyal_customer_rate, active_users / nullif(users, 0) as active_share, session_depth
        from lifecycle_metrics, build_settings
        where (metric_date = last_day(metric_date) or metric_date = as_of_date)
            and metric_date >= date_trunc('month', as_of_date) - interval {MONTHS} month order by metric_date""",
    "value": "select sum(customers) as customers, sum(net_revenue) as net_revenue from rfm_grid",
    "stages": "from stage_summary order by position",
    "thresholds": "from stage_thresholds",
    "flows": """select month, from_stage, to_stage, people,
            regexp_replace(from_label, '^from: ', '') as from_label, regexp_replace(to_label, '^to: ', '') as to_label
        from stage_transitions where month = (select max(month) from stage_transitions where is_complete)""",
    "stage_months": f"""select to_stage as stage, month, sum(people) as people from stage_transitions
        where month >= (select max(month) from stage_transitions) - interval {MONTHS} month
        group by to_stage, month order by to_stage, month""",
    "growth": f"""from growth_accounting
        where month >= (select max(month) from growth_accounting) - interval {MONTHS} month order by month""",
    "cohorts": f"""select cohort_month, cohort_size, period_index, retention, is_complete from cohort_retention
        where period_index <= {PERIODS}
            and cohort_month in (select distinct cohort_month from cohort_retention order by 1 desc limit {COHORTS})
        order by cohort_month desc, period_index""",
    "all_cohorts": f"""select period_index, sum(active_customers) / sum(cohort_size) as retention, count(*) as cohorts
        from cohort_retention where is_complete and period_index between 1 and {PERIODS}
        group by period_index order by period_index""",
    "rfm_cells": "from rfm_grid order by r_score desc, f_score",
    "rfm_segments": """select segment, sum(customers) as customers, sum(net_revenue) as net_revenue
        from rfm_grid group by segment order by net_revenue desc, segment""",
    "return_curve": f"""from return_curve
        where is_at_risk_threshold or is_lapsed_threshold or (days_since_last_order % 7 = 0 and spells >= {MIN_SPELLS})
        order by days_since_last_order""",
    "extra_locations": """select extra_locations, sum(users) as users, sum(active_users) as active_users
        from location_cohorts where month = (select max(month) from location_cohorts) and not is_suppressed
        group by extra_locations order by extra_locations""",
    "locations": f"""with latest as (
            select * from location_cohorts where month = (select max(month) from location_cohorts)
        ), ranked as (
            select *, dense_rank() over (order by location_users desc, default_location) as place
            from (select *, sum(coalesce(users, 0)) over (partition by default_location) as location_users from latest)
            where default_location not in ('other', 'unknown')
        )
        select * exclude (location_users), max(place) over () as locations from ranked
        qualify place <= {LOCATIONS} order by place, extra_locations""",
    "touchpoints": "from touchpoint_gaps order by position",
    "audiences": "from audience_summary order by people desc, audience",
    "results": "from campaign_results order by difference is null, difference desc, assigned_people desc, audience",
    "sources": "from source_tables order by source, table_name",
    "rejected": "from rejected_reasons order by rejected_rows desc, source, table_name, reason",
}


def read(published):
    """The rows of every query, as {name: [{column: value}]}; raise Problem if the file cannot give them."""
    if not published.is_file():
        raise Problem(WRONG, f"there is no published file {published}; `make build` or `make demo` makes it, or give --from")
    with duckdb.connect() as connection:
        connection.execute(f"attach {quoted(published)} as published (read_only)")
        rows = {}
        for name, query in QUERIES.items():
            try:
                connection.execute("use published.marts")
                cursor = connection.execute(query)
            except (duckdb.CatalogException, duckdb.BinderException) as error:
                what = str(error).split("\n", 1)[0]
                raise Problem(WRONG, f"{published} lacks what the report needs ({what}); run `make build`") from None
            columns = [column[0] for column in cursor.description]
            rows[name] = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    return rows
